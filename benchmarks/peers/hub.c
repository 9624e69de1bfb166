/* A chat server in C, one thread on epoll: about the minimum cost of a message to all members.
 *
 * hub PORT. The part of the text frontend that the load uses: the first line is the nickname, each
 * other line goes to all others in the one room, in one send(2) a member and turn. No bounds.
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
#define MOST 65536 /* file descriptors */
#define LINE 512

struct member {
    char nick[32];
    int joined;
    char *out; /* output buffer */
    size_t size, room;
    char part[LINE]; /* an incomplete line */
    size_t held;
};

static struct member *members[MOST];
static int highest;
static char buffer[CHUNK + LINE + 1];

static void *checked(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static void tell_all(const struct member *but, const char *text, size_t size)
{
    for (int fd = 0; fd <= highest; fd++) {
        struct member *m = members[fd];
        if (!m || !m->joined || m == but)
            continue;
        if (m->size + size > m->room) {
            m->room = 2 * (m->size + size);
            m->out = checked(realloc(m->out, m->room));
        }
        memcpy(m->out + m->size, text, size);
        m->size += size;
    }
}

static void line(struct member *m, const char *text)
{
    static char said[2 * LINE];
    int size;
    if (m->joined) {
        size = snprintf(said, sizeof said, "#lobby <%s> %s\r\n", m->nick, text);
        tell_all(m, said, size);
        return;
    }
    m->joined = 1;
    snprintf(m->nick, sizeof m->nick, "%.31s", text);
    size = snprintf(said, sizeof said, "* %s joined #lobby\r\n", m->nick);
    tell_all(NULL, said, size);
}

static void end(int fd)
{
    free(members[fd]->out);
    free(members[fd]);
    members[fd] = NULL;
    close(fd);
}

static void receive(int fd)
{
    struct member *m = members[fd];
    memcpy(buffer, m->part, m->held);
    ssize_t n = recv(fd, buffer + m->held, CHUNK, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        end(fd);
        return;
    }
    char *at = buffer, *stop, *last = buffer + m->held + n;
    while ((stop = memchr(at, '\n', last - at))) {
        *stop = 0;
        if (stop > at && stop[-1] == '\r')
            stop[-1] = 0;
        if (stop - at < LINE)
            line(m, at);
        at = stop + 1;
    }
    m->held = last - at;
    if (m->held > sizeof m->part) {
        end(fd);
        return;
    }
    memcpy(m->part, at, m->held);
}

/* Returns whether data is left that the kernel did not accept. */
static int send_all(void)
{
    int left = 0;
    for (int fd = 0; fd <= highest; fd++) {
        struct member *m = members[fd];
        if (!m || !m->size)
            continue;
        ssize_t sent = send(fd, m->out, m->size, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) {
                end(fd);
                continue;
            }
            sent = 0;
        }
        m->size -= sent;
        if (m->size) {
            memmove(m->out, m->out + sent, m->size);
            left = 1;
        }
    }
    return left;
}

int main(int count, char **arguments)
{
    static struct epoll_event events[EVENTS];
    struct sockaddr_in at = {.sin_family = AF_INET};
    struct rlimit files;
    int one = 1, left = 0;
    int listening = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0);
    if (count != 2)
        return 1;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    at.sin_port = htons(atoi(arguments[1]));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (struct sockaddr *)&at, sizeof at) < 0 || listen(listening, 1024) < 0) {
        perror("hub");
        return 1;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listening};
    epoll_ctl(poller, EPOLL_CTL_ADD, listening, &event);
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, left ? 1 : -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd != listening) {
                receive(fd);
                continue;
            }
            fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0)
                continue;
            if (fd >= MOST) {
                close(fd);
                continue;
            }
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            members[fd] = checked(calloc(1, sizeof *members[fd]));
            if (fd > highest)
                highest = fd;
            event.data.fd = fd;
            epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
        }
        left = send_all();
    }
}
