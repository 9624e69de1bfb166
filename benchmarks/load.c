/* Load generator of the benchmarks: one thread on epoll; all replies are verified.
 *
 * load case=NAME port=PORT [conns=N] [depth=N] [size=BYTES] [window=N] [senders=N] [sources=N] [mixed=1]
 *      [seconds=S]
 *
 *   echo     conns connections, each with depth messages of size bytes in flight; bulk is the same
 *            with large messages
 *   line     the same with PING requests of the line protocol; with mixed=1 every other one is "ping"
 *   connect  connect, send size bytes, read them back, close; conns at a time, from sources addresses
 *   chat     conns members of the lobby by the text frontend; senders of them send messages, each with
 *            at most window messages that are not delivered to all members
 *   irc      the same by IRC, in #lobby
 *   joins    conns IRC clients join #lobby at once, and one outside of it sends PING meanwhile
 *   members  register conns IRC clients, and hold them
 *   idle     open conns connections, echo one message on each, and hold them
 *
 * It connects, warms up, prints "ready", and waits for a line on its standard input. Then it sends for
 * so many seconds, waits for all replies in flight, prints one line of JSON, and waits for a line again:
 * the server's work between the two lines is what was counted. It exits with status 1 and a message at
 * the first wrong byte, and when it receives nothing for too long.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (256 * 1024) /* maximum of one read or write */
#define EVENTS 1024
#define WARM 0.3 /* seconds */
#define PATIENCE 20 /* seconds for replies in flight */

enum { ECHO, LINE, CONNECT, CHAT, IDLE, IRC, JOINS, MEMBERS };

struct conn {
    int fd;
    int writing;           /* EPOLLOUT is set */
    uint64_t sent, got;    /* bytes of the stream */
    uint64_t until;        /* limit of sent */
    uint64_t base;         /* start in the pattern, in messages */
    char *partial;         /* chat: an incomplete line */
    size_t held;
    uint64_t *next;        /* chat: the expected number, by sender */
    int registered, joined;
};

static int kind, port, conns = 64, depth = 1, size = 64, window = 4, senders = 1, sources = 200, mixed;
static double seconds = 2;
static int poller, stopping;
static struct conn *all;
static char buffer[CHUNK + 1];
static uint64_t done; /* operations */

/* the patterns that are sent and expected, each with its period twice */
static char *out_pattern, *in_pattern;
static uint64_t out_size, in_size, out_period, in_period, messages;

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

static void *room_for(size_t count, size_t each)
{
    void *room = calloc(count, each);
    if (!room)
        fail("no memory");
    return room;
}

static void make_patterns(void)
{
    if (kind == LINE) {
        messages = 100000;
        out_size = strlen("PING 00000\r\n");
        in_size = strlen("250 PONG 00000\r\n");
    } else {
        out_size = in_size = size;
        messages = (2 * 1024 * 1024 + size - 1) / size;
    }
    out_period = messages * out_size;
    in_period = messages * in_size;
    out_pattern = room_for(2, out_period + 1);
    in_pattern = room_for(2, in_period + 1);
    uint64_t random = 88172645463325252ull;
    for (uint64_t i = 0; i < messages; i++) {
        if (kind == LINE) {
            /* every other request has another spelling, so adjacent requests differ */
            const char *word = mixed && i % 2 ? "ping" : "PING";
            sprintf(out_pattern + i * out_size, "%s %05u\r\n", word, (unsigned)i);
            sprintf(in_pattern + i * in_size, "250 PONG %05u\r\n", (unsigned)i);
            continue;
        }
        for (uint64_t j = 0; j < out_size; j++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            out_pattern[i * out_size + j] = (char)random;
        }
    }
    if (kind != LINE)
        memcpy(in_pattern, out_pattern, in_period);
    memcpy(out_pattern + out_period, out_pattern, out_period);
    memcpy(in_pattern + in_period, in_pattern, in_period);
}

static void watch(struct conn *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, operation, c->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

static void open_conn(struct conn *c, int block)
{
    static uint32_t source;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail("socket: %s", strerror(errno));
    if (kind == CONNECT) {
        /* many addresses, since connections in TIME_WAIT would use up the ports of one */
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        from.sin_addr.s_addr = htonl(0x7f000001 + source++ % sources);
        if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0)
            fail("bind: %s", strerror(errno));
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!block)
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static ssize_t receive(struct conn *c)
{
    ssize_t n = recv(c->fd, buffer, CHUNK, 0);
    if (n > 0)
        return n;
    if (n < 0 && errno == EAGAIN)
        return 0;
    fail("the server closed a connection: %s", n ? strerror(errno) : "end of stream");
    return 0;
}

/* --- streams of messages: echo, bulk, line --- */

static void skip_greeting(struct conn *c)
{
    struct pollfd ready = {.fd = c->fd, .events = POLLIN};
    char last = 0;
    while (last != '\n') {
        if (poll(&ready, 1, PATIENCE * 1000) < 1 || recv(c->fd, &last, 1, 0) < 1)
            fail("no greeting");
    }
}

static void send_due(struct conn *c)
{
    while (c->sent < c->until) {
        uint64_t n = c->until - c->sent;
        uint64_t at = (c->base * out_size + c->sent) % out_period;
        if (n > CHUNK)
            n = CHUNK;
        ssize_t sent = send(c->fd, out_pattern + at, n, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN)
                fail("send: %s", strerror(errno));
            sent = 0;
        }
        c->sent += sent;
        if ((uint64_t)sent < n)
            break;
    }
    int wants = c->sent < c->until;
    if (wants != c->writing) {
        c->writing = wants;
        watch(c, EPOLL_CTL_MOD, wants ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

static void stream_event(struct conn *c, uint32_t events)
{
    if (events & ~EPOLLOUT) {
        ssize_t n = receive(c);
        uint64_t at = (c->base * in_size + c->got) % in_period;
        if (memcmp(buffer, in_pattern + at, n))
            fail("the reply differs from the expected one, near byte %llu",
                 (unsigned long long)c->got);
        uint64_t before = c->got / in_size;
        c->got += n;
        uint64_t after = c->got / in_size;
        done += after - before;
        if (!stopping)
            c->until = (after + depth) * out_size;
    }
    send_due(c);
}

static int stream_busy(void)
{
    for (int i = 0; i < conns; i++)
        if (all[i].got / in_size < all[i].until / out_size || all[i].got % in_size)
            return 1;
    return 0;
}

static void stream_go(void)
{
    for (int i = 0; i < conns; i++) {
        all[i].until = (all[i].got / in_size + depth) * out_size;
        send_due(&all[i]);
    }
}

static void stream_open(void)
{
    make_patterns();
    for (int i = 0; i < conns; i++) {
        all[i].base = (uint64_t)i * 977 % messages; /* so that connections send different data */
        open_conn(&all[i], 1);
        if (kind == LINE)
            skip_greeting(&all[i]);
        watch(&all[i], EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* --- connect, echo, close --- */

static int under_way;

static void connect_next(struct conn *c)
{
    c->got = 0;
    c->base = (c->base + 1) % messages;
    under_way++;
    open_conn(c, 0);
    watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void connect_event(struct conn *c, uint32_t events)
{
    const char *message = out_pattern + c->base * out_size;
    if (events & EPOLLOUT) {
        if (send(c->fd, message, size, MSG_NOSIGNAL) != size)
            fail("send: %s", strerror(errno));
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
        return;
    }
    ssize_t n = receive(c);
    if (c->got + n > (uint64_t)size || memcmp(buffer, message + c->got, n))
        fail("the reply differs from the request");
    c->got += n;
    if (c->got < (uint64_t)size)
        return;
    close(c->fd);
    done++;
    under_way--;
    if (!stopping)
        connect_next(c);
}

static void connect_go(void)
{
    for (int i = 0; i < conns; i++)
        connect_next(&all[i]);
}

/* --- chat --- */

static int in_lines(void)
{
    return kind == CHAT || kind >= IRC;
}

static void turn(void);

#define SLOWEST 200000 /* in units of 10 microseconds */
static const char PADDING[] = "the quick brown fox jumps over it";
static uint64_t said[16], heard_by_all[16];
static uint32_t *hearers[16];
static double *said_at[16];
static uint32_t *delays;
static double arrived, asked, longest;
static int joined, registered;
static char letter; /* of all nicknames; the members of the load before may not have left yet */

static void tell(struct conn *c, const char *line)
{
    ssize_t length = strlen(line);
    if (send(c->fd, line, length, MSG_NOSIGNAL) != length)
        fail("a line does not fit into the socket buffer");
}

static void chat_say(int sender)
{
    size_t length = 0;
    double t = now();
    while (!stopping && said[sender] - heard_by_all[sender] < (uint64_t)window && length < CHUNK - 200) {
        uint64_t number = said[sender]++;
        said_at[sender][number % window] = t;
        hearers[sender][number % window] = 0;
        length += sprintf(buffer + length, "%s%012llx %s\r\n", kind == IRC ? "PRIVMSG #lobby :" : "",
                          (unsigned long long)number, PADDING);
    }
    if (length && send(all[sender].fd, buffer, length, MSG_NOSIGNAL) != (ssize_t)length)
        fail("a message does not fit into the socket buffer");
}

/* returns whether a line of IRC is a message to the room, and cuts it to the form of the text frontend */
static char *irc_line(struct conn *c, char *line, size_t *length)
{
    int me = (int)(c - all);
    char command[16] = "", *text;
    if (!strncmp(line, "PING ", 5)) {
        char answer[600];
        snprintf(answer, sizeof answer, "PONG %s\r\n", line + 5);
        tell(c, answer);
        return NULL;
    }
    sscanf(line, "%*s %15s", command);
    if (!c->registered && (!strcmp(command, "376") || !strcmp(command, "422"))) {
        c->registered = 1, registered++;
        if (kind == IRC)
            tell(c, "JOIN #lobby\r\n");
    } else if (!strcmp(command, "366") && !c->joined)
        c->joined = 1, joined++;
    else if (!strcmp(command, "PONG") && me == conns) {
        double delay = (arrived - asked) * 1e5;
        delays[delay >= SLOWEST ? SLOWEST - 1 : (int)delay]++;
        if (arrived - asked > longest)
            longest = arrived - asked;
        asked = now();
        tell(c, "PING x\r\n");
    } else if (!strcmp(command, "ERROR") || !strncmp(line, "ERROR", 5) || command[0] == '4')
        fail("member %d: %s", me, line);
    if (kind != IRC || !c->joined || strcmp(command, "PRIVMSG") || !(text = strstr(line, " :")))
        return NULL;
    /* :a00000!~m@host PRIVMSG #lobby :000000000000 the quick... */
    static char cut[600];
    *length = sprintf(cut, "#lobby <%.6s> %.500s", line + 1, text + 2);
    return cut;
}

static void chat_line(struct conn *c, char *line, size_t length)
{
    int me = (int)(c - all);
    if (kind != CHAT) {
        if (!(line = irc_line(c, line, &length)))
            return;
    } else if (!c->joined) {
        char own[40];
        sprintf(own, "* %c%05d joined #lobby", letter, me);
        if (!strcmp(line, own))
            c->joined = 1, joined++;
        return;
    }
    /* #lobby <a00000> 000000000000 the quick... */
    if (strncmp(line, "#lobby <", 8) || line[8] != letter)
        return;
    char *end;
    unsigned long sender = strtoul(line + 9, &end, 10);
    if (length != 16 + 13 + sizeof PADDING - 1 || sender >= (unsigned long)senders || strncmp(end, "> ", 2))
        fail("a line that no member has sent: %s", line);
    uint64_t number = strtoull(end + 2, &end, 16);
    if (number != c->next[sender] || *end != ' ' || strcmp(end + 1, PADDING))
        fail("member %d was to get message %llu of %lu, and got: %s", me,
             (unsigned long long)c->next[sender], sender, line);
    c->next[sender]++;
    done++;
    double delay = (arrived - said_at[sender][number % window]) * 1e5;
    delays[delay < 0 ? 0 : delay >= SLOWEST ? SLOWEST - 1 : (int)delay]++;
    if (++hearers[sender][number % window] == (uint32_t)conns - 1)
        heard_by_all[sender]++;
}

static void chat_event(struct conn *c, uint32_t events)
{
    (void)events;
    if (c->held)
        memcpy(buffer, c->partial, c->held);
    ssize_t n = recv(c->fd, buffer + c->held, CHUNK - c->held, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        fail("the server closed member %d: %s", (int)(c - all), n ? strerror(errno) : "end");
    arrived = now();
    char *at = buffer, *end = buffer + c->held + n, *stop;
    while ((stop = memchr(at, '\n', end - at))) {
        if (stop == at || stop[-1] != '\r')
            fail("a line that does not end in CRLF");
        stop[-1] = 0;
        chat_line(c, at, stop - 1 - at);
        at = stop + 1;
    }
    c->held = end - at;
    if (c->held > 4096)
        fail("a line without end");
    memcpy(c->partial, at, c->held);
}

static void chat_open(void)
{
    letter = 'a' + getpid() % 26;
    delays = room_for(SLOWEST, sizeof *delays);
    for (int s = 0; s < senders; s++) {
        hearers[s] = room_for(window, sizeof **hearers);
        said_at[s] = room_for(window, sizeof **said_at);
    }
    for (int i = 0; i < conns + (kind == JOINS); i++) {
        struct conn *c = &all[i];
        char nick[20];
        c->partial = room_for(1, 4097);
        c->next = room_for(senders, sizeof *c->next);
        open_conn(c, 1);
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
        if (kind == CHAT) {
            sprintf(nick, "%c%05d\r\n", letter, i);
            tell(c, nick);
        } else {
            char lines[80];
            sprintf(lines, "NICK %c%05d\r\nUSER m 0 * :m\r\n", letter, i);
            tell(c, lines);
        }
        if (i % 64 == 63)
            turn();
    }
}

static int chat_busy(void)
{
    for (int s = 0; s < senders; s++)
        if (heard_by_all[s] < said[s])
            return 1;
    return 0;
}

static double quantile(double part)
{
    uint64_t total = 0, upto = 0;
    for (int i = 0; i < SLOWEST; i++)
        total += delays[i];
    for (int i = 0; i < SLOWEST; i++)
        if ((upto += delays[i]) >= part * total && upto)
            return (i + 1) / 100.0;
    return 0;
}

/* --- all cases --- */

static void turn(void)
{
    static struct epoll_event events[EVENTS];
    int n = epoll_wait(poller, events, EVENTS, 100);
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (in_lines())
            chat_event(c, events[i].events);
        else if (kind == CONNECT)
            connect_event(c, events[i].events);
        else
            stream_event(c, events[i].events);
    }
    if ((kind == CHAT || kind == IRC) && joined == conns)
        for (int s = 0; s < senders; s++)
            if (said[s] - heard_by_all[s] <= (uint64_t)window / 2)
                chat_say(s);
}

static int busy(void)
{
    return kind == JOINS ? joined < conns
           : in_lines()  ? chat_busy()
           : kind == CONNECT ? under_way > 0
                             : stream_busy();
}

static double run_for(double time)
{
    double start = now(), late;
    stopping = 0;
    if (kind == CONNECT)
        connect_go();
    else if (!in_lines())
        stream_go();
    while (now() < start + time)
        turn();
    stopping = 1;
    late = now() + (kind == JOINS ? 10 * PATIENCE : PATIENCE);
    while (busy()) {
        turn();
        if (now() > late)
            fail("replies are missing");
    }
    return now() - start;
}

static void await_line(void)
{
    char line[16];
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        exit(1);
}

static void read_arguments(int count, char **arguments)
{
    static const char *names[] = {"echo", "line", "connect", "chat", "idle", "irc", "joins", "members"};
    kind = -1;
    for (int i = 1; i < count; i++) {
        char *value = strchr(arguments[i], '=');
        if (!value)
            fail("not NAME=VALUE: %s", arguments[i]);
        *value++ = 0;
        const char *name = arguments[i];
        if (!strcmp(name, "case")) {
            for (int k = 0; k < 8; k++)
                if (!strcmp(value, names[k]))
                    kind = k;
        } else if (!strcmp(name, "seconds"))
            seconds = atof(value);
        else {
            int *where = !strcmp(name, "port")      ? &port
                         : !strcmp(name, "conns")   ? &conns
                         : !strcmp(name, "depth")   ? &depth
                         : !strcmp(name, "size")    ? &size
                         : !strcmp(name, "window")  ? &window
                         : !strcmp(name, "senders") ? &senders
                         : !strcmp(name, "sources") ? &sources
                         : !strcmp(name, "mixed")   ? &mixed
                                                    : NULL;
            if (!where || (*where = atoi(value)) < 1)
                fail("unknown argument %s=%s", name, value);
        }
    }
    if (kind < 0 || !port || senders > 16 || senders >= conns + (kind != CHAT && kind != IRC) || seconds <= 0)
        fail("usage: at the head of load.c");
    if (kind == CONNECT && size > 4096)
        fail("connect requires small messages");
}

int main(int count, char **arguments)
{
    struct rlimit files;
    read_arguments(count, arguments);
    alarm((unsigned)(seconds + WARM + (kind == JOINS ? 20 : 4) * PATIENCE));
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(EPOLL_CLOEXEC);
    all = room_for(conns + 1, sizeof *all);
    if (in_lines()) {
        int wanted = conns + (kind == JOINS);
        stopping = 1;
        chat_open();
        double late = now() + 3 * PATIENCE;
        while ((kind == JOINS || kind == MEMBERS ? registered : joined) < wanted) {
            turn();
            if (now() > late)
                fail("only %d of %d have joined", kind == CHAT || kind == IRC ? joined : registered, wanted);
        }
    } else if (kind == CONNECT)
        make_patterns();
    else
        stream_open();
    if (kind == JOINS) {
        printf("ready\n");
        await_line();
        asked = now();
        double begun = asked;
        tell(&all[conns], "PING x\r\n");
        for (int i = 0; i < conns; i++) {
            tell(&all[i], "JOIN #lobby\r\n");
            if (i % 16 == 15)
                turn();
        }
        run_for(0);
        double took = now() - begun;
        printf("{\"operations\": %d, \"seconds\": %.6f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"longest_ms\": %.2f}\n",
               conns, took, quantile(0.5), quantile(0.99), longest * 1e3);
        await_line();
        return 0;
    }
    if (kind == IDLE || kind == MEMBERS) {
        if (kind == IDLE)
            run_for(0);
        printf("ready\n");
        await_line();
        printf("{\"operations\": %d}\n", conns);
        return 0;
    }
    run_for(WARM < seconds ? WARM : seconds);
    if (in_lines())
        memset(delays, 0, SLOWEST * sizeof *delays);
    printf("ready\n");
    await_line();
    done = 0;
    double took = run_for(seconds);
    printf("{\"operations\": %llu, \"seconds\": %.6f", (unsigned long long)done, took);
    if (in_lines())
        printf(", \"p50_ms\": %.2f, \"p99_ms\": %.2f", quantile(0.5), quantile(0.99));
    printf("}\n");
    await_line();
    return 0;
}
