/* Load generator of the TLS benchmarks; see load.c, which works in the same way.
 *
 * tls case=NAME port=PORT [conns=N] [depth=N] [size=BYTES] [seconds=S] [version=12]
 *
 *   echo      conns connections, each with depth messages of size bytes in flight
 *   new       connect, a full handshake, echo of one message, close; conns at a time
 *   resumed   the same with the session of the latest ticket
 *
 * version is the highest version of TLS to offer, without its point.
 *
 * Certificates are not verified, since only the server is measured.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LARGEST (64 * 1024)
#define EVENTS 1024
#define WARM 0.3 /* seconds */
#define PATIENCE 20 /* seconds for replies in flight */

enum { ECHO, NEW, RESUMED };

struct conn {
    int fd, secured, writing;
    SSL *tls;
    uint64_t sent, got, until; /* bytes */
    uint64_t base;
};

static int kind = -1, port, conns = 64, depth = 1, size = 64, version = 13;
static double seconds = 2;
static int poller, stopping, open_now;
static struct conn *all;
static char *pattern, buffer[LARGEST];
static uint64_t period, done, reused;
static SSL_CTX *context;
static SSL_SESSION *session;

static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int keep_session(SSL *tls, SSL_SESSION *fresh)
{
    (void)tls;
    SSL_SESSION_free(session);
    session = fresh;
    return 1;
}

static void watch(struct conn *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, operation, c->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

static void open_conn(struct conn *c)
{
    static uint32_t source;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    from.sin_addr.s_addr = htonl(0x7f000101 + source++ % 200);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        fail("connect: %s", strerror(errno));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->tls = SSL_new(context);
    SSL_set_fd(c->tls, c->fd);
    SSL_set_connect_state(c->tls);
    if (kind == RESUMED && session)
        SSL_set_session(c->tls, session);
    c->secured = c->writing = 0;
    c->sent = c->got = 0;
    c->until = (uint64_t)size * depth;
    open_now++;
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
    c->writing = 1;
}

static void close_conn(struct conn *c)
{
    SSL_shutdown(c->tls);
    SSL_free(c->tls);
    close(c->fd);
    open_now--;
}

static int again(struct conn *c, int result)
{
    int why = SSL_get_error(c->tls, result);
    if (why == SSL_ERROR_WANT_READ)
        return EPOLLIN;
    if (why == SSL_ERROR_WANT_WRITE)
        return EPOLLIN | EPOLLOUT;
    fail("TLS failed: %s", ERR_error_string(ERR_get_error(), NULL));
    return 0;
}

static void event(struct conn *c)
{
    int wanted = EPOLLIN;
    if (!c->secured) {
        int result = SSL_do_handshake(c->tls);
        if (result == 1) {
            c->secured = 1;
            reused += SSL_session_reused(c->tls);
        } else
            wanted = again(c, result);
    }
    while (c->secured) {
        int n = SSL_read(c->tls, buffer, sizeof buffer);
        if (n <= 0) {
            wanted = again(c, n);
            break;
        }
        if (memcmp(buffer, pattern + (c->base + c->got) % period, n))
            fail("the reply differs from the request, near byte %llu", (unsigned long long)c->got);
        uint64_t before = c->got / size;
        c->got += n;
        if (kind != ECHO) {
            if (c->got < (uint64_t)size)
                continue;
            done++;
            close_conn(c);
            if (!stopping)
                open_conn(c);
            return;
        }
        done += c->got / size - before;
        if (!stopping)
            c->until = (c->got / size + depth) * size;
    }
    while (c->secured && c->sent < c->until) {
        uint64_t n = c->until - c->sent;
        int sent = SSL_write(c->tls, pattern + (c->base + c->sent) % period, n > LARGEST ? LARGEST : n);
        if (sent <= 0) {
            wanted = again(c, sent);
            break;
        }
        c->sent += sent;
    }
    int writing = (wanted & EPOLLOUT) != 0;
    if (writing != c->writing) {
        c->writing = writing;
        watch(c, EPOLL_CTL_MOD, wanted);
    }
}

static int busy(void)
{
    if (kind != ECHO)
        return open_now > 0;
    for (int i = 0; i < conns; i++)
        if (all[i].got < all[i].until)
            return 1;
    return 0;
}

static void turn(void)
{
    static struct epoll_event events[EVENTS];
    int n = epoll_wait(poller, events, EVENTS, 100);
    for (int i = 0; i < n; i++)
        event(events[i].data.ptr);
}

static double run_for(double time)
{
    double start = now(), late;
    stopping = 0;
    for (int i = 0; i < conns; i++) {
        if (!all[i].tls || kind != ECHO)
            open_conn(&all[i]);
        else {
            all[i].until = (all[i].got / size + depth) * size;
            event(&all[i]);
        }
    }
    while (now() < start + time)
        turn();
    stopping = 1;
    late = now() + PATIENCE;
    while (busy()) {
        turn();
        if (now() > late)
            fail("replies are missing");
    }
    return now() - start;
}

static void read_arguments(int count, char **arguments)
{
    static const char *names[] = {"echo", "new", "resumed"};
    for (int i = 1; i < count; i++) {
        char *value = strchr(arguments[i], '=');
        if (!value)
            fail("not NAME=VALUE: %s", arguments[i]);
        *value++ = 0;
        const char *name = arguments[i];
        if (!strcmp(name, "case")) {
            for (int k = 0; k < 3; k++)
                if (!strcmp(value, names[k]))
                    kind = k;
        } else if (!strcmp(name, "seconds"))
            seconds = atof(value);
        else {
            int *where = !strcmp(name, "port")    ? &port
                         : !strcmp(name, "conns") ? &conns
                         : !strcmp(name, "depth") ? &depth
                         : !strcmp(name, "size")  ? &size
                         : !strcmp(name, "version") ? &version
                                                    : NULL;
            if (!where || (*where = atoi(value)) < 1)
                fail("unknown argument %s=%s", name, value);
        }
    }
    if (kind < 0 || !port || seconds <= 0 || size > LARGEST || version < 12 || version > 13)
        fail("usage: at the head of tls.c");
}

static void await_line(void)
{
    char line[16];
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        exit(1);
}

int main(int count, char **arguments)
{
    read_arguments(count, arguments);
    alarm((unsigned)(seconds + WARM + 3 * PATIENCE));
    poller = epoll_create1(EPOLL_CLOEXEC);
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(context, version == 12 ? TLS1_2_VERSION : TLS1_3_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    all = calloc(conns, sizeof *all);
    period = (uint64_t)size * ((1024 * 1024 + size - 1) / size);
    pattern = malloc(2 * period);
    if (!all || !pattern)
        fail("no memory");
    uint64_t random = 88172645463325252ull;
    for (uint64_t i = 0; i < period; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        pattern[i] = pattern[i + period] = (char)random;
    }
    for (int i = 0; i < conns; i++)
        all[i].base = (uint64_t)i * 977 * size % period;
    run_for(WARM < seconds ? WARM : seconds);
    printf("ready\n");
    await_line();
    done = reused = 0;
    double took = run_for(seconds);
    printf("{\"operations\": %llu, \"seconds\": %.6f, \"resumed\": %llu}\n", (unsigned long long)done,
           took, (unsigned long long)reused);
    await_line();
    return 0;
}
