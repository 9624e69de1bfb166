/* An echo server in C, one thread on epoll: about the minimum cost of a server.
 *
 * echo PORT. With half-close and flow control.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK (256 * 1024)
#define EVENTS 1024

struct conn {
    int fd;
    char *rest; /* data that the kernel did not accept; reading is paused meanwhile */
    size_t length, at;
};

static int poller;
static char buffer[CHUNK];

static void watch(struct conn *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &event);
}

static void end(struct conn *c)
{
    close(c->fd);
    free(c->rest);
    free(c);
}

static void readable(struct conn *c)
{
    ssize_t n = recv(c->fd, buffer, CHUNK, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        end(c);
        return;
    }
    ssize_t sent = send(c->fd, buffer, n, MSG_NOSIGNAL);
    if (sent == n)
        return;
    if (sent < 0) {
        if (errno != EAGAIN) {
            end(c);
            return;
        }
        sent = 0;
    }
    c->length = n - sent;
    c->at = 0;
    c->rest = malloc(c->length);
    if (!c->rest) {
        end(c);
        return;
    }
    memcpy(c->rest, buffer + sent, c->length);
    watch(c, EPOLL_CTL_MOD, EPOLLOUT);
}

static void writable(struct conn *c)
{
    ssize_t sent = send(c->fd, c->rest + c->at, c->length - c->at, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN)
            end(c);
        return;
    }
    c->at += sent;
    if (c->at == c->length) {
        free(c->rest);
        c->rest = NULL;
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
    }
}

int main(int count, char **arguments)
{
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET};
    static struct epoll_event events[EVENTS];
    struct rlimit files;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(count > 1 ? atoi(arguments[1]) : 0);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 4096) < 0) {
        perror("echo");
        return 1;
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct conn *door = calloc(1, sizeof *door);
    door->fd = listener;
    watch(door, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c != door) {
                if (c->rest)
                    writable(c);
                else
                    readable(c);
                continue;
            }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                struct conn *new = calloc(1, sizeof *new);
                new->fd = fd;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                watch(new, EPOLL_CTL_ADD, EPOLLIN);
            }
        }
    }
}
