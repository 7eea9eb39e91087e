// load: an epoll load generator for TCP servers on loopback, cheap enough that the server is what is measured.
//
// usage: load MODE PORT CONNECTIONS BYTES SECONDS [MESSAGE]
//
//   echo   keeps CONNECTIONS open; each sends BYTES, waits until they have come back, and sends again
//   churn  the same, but a connection carries one message and is closed, and another takes its place
//   knock  CONNECTIONS at a time connect and wait until the server closes them; others take their places
//   crowd  opens all CONNECTIONS, and waits until each has been greeted with BYTES; then one sends BYTES, which the server
//          is to send to all, and sends again when all have them
//   choir  the same, but ten send at once, and again when all have everything
//   idle   opens all CONNECTIONS at once, prints a line when they stand, and holds them
//
// MESSAGE is what is sent, of BYTES; what comes back is counted and not looked at.
// Ends after SECONDS and a message, when stdin closes, or on SIGTERM; then prints one JSON object. A message of knock is a connection,
// one of crowd and choir a delivery.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum mode { ECHO, CHURN, KNOCK, CROWD, CHOIR, IDLE };
static const char *const mode_names[] = {"echo", "churn", "knock", "crowd", "choir", "idle"};

enum { EVENTS = 256, MAX_BYTES = 16384, SOURCES = 200, CHOIR_SPEAKERS = 10 };

/** What a connection waits for: its connect, or the rest of a message. */
struct connection {
  bool connected;
  int received;
};

static enum mode mode;
static int port, wanted, size;
static int epoll_fd;
static struct connection *connections; // by descriptor
static char message[MAX_BYTES];
static long dialled, connected, messages;
/** Bytes that have come to the crowd, and how many it waits for before its speakers send again. */
static long heard, expected;
static int speakers[CHOIR_SPEAKERS], speaker_count;
static volatile sig_atomic_t stopped;

static void die(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double seconds_of(struct timespec t) { return t.tv_sec + t.tv_nsec * 1e-9; }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return seconds_of(t);
}

static double cpu_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return seconds_of(t);
}

static void stop(int signal) {
  (void)signal;
  stopped = 1;
}

/** Takes as many descriptors as the system allows, and room for what we know of each. */
static void take_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) die("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) die("setrlimit");
  connections = calloc(limit.rlim_max, sizeof *connections);
  if (connections == NULL) die("calloc");
}

/** Closed connections stay in TIME_WAIT for a while: the source addresses take turns, so that ports do not run out. */
static void choose_source(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  struct sockaddr_in source = {.sin_family = AF_INET};
  source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + dialled % SOURCES);
  if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0) die("bind");
}

/** Starts to connect; the first edge of the one registration says that it has. */
static void dial(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd < 0) die("socket");
  choose_source(fd);
  int one = 1;
  if (mode == ECHO || mode == CROWD || mode == CHOIR) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) die("connect");
  connections[fd] = (struct connection){.connected = false};
  struct epoll_event interest = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &interest) < 0) die("epoll_ctl");
  dialled++;
}

static void redial(int fd) {
  messages++;
  close(fd);
  dial();
}

static void say(int fd) {
  connections[fd].received = 0;
  if (send(fd, message, size, MSG_NOSIGNAL) != size) die("send");
}

static void on_connected(int fd, double started) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) die("getsockopt");
  if (error != 0) {
    errno = error;
    die("connect");
  }
  connections[fd].connected = true;
  connected++;
  if (speaker_count < (mode == CHOIR ? CHOIR_SPEAKERS : 1)) speakers[speaker_count++] = fd;
  if (mode == ECHO || mode == CHURN) say(fd);
  if (mode == IDLE && connected == wanted) {
    printf("{\"connected\":%ld,\"started\":%.9f}\n", connected, started);
    fflush(stdout);
  }
}

static void on_heard(long bytes) {
  heard += bytes;
  if (heard < expected) return;
  messages += heard / size;
  heard = 0;
  expected = (long)wanted * size * speaker_count;
  for (int i = 0; i < speaker_count; i++) say(speakers[i]);
}

static void on_readable(int fd) {
  struct connection *c = &connections[fd];
  char bytes[MAX_BYTES];
  ssize_t n = recv(fd, bytes, sizeof bytes, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (mode == KNOCK && (n == 0 || errno == ECONNRESET)) {
    redial(fd);
    return;
  }
  if (n == 0) errno = ECONNRESET;
  if (n <= 0) die("recv");
  if (mode == CROWD || mode == CHOIR) {
    on_heard(n);
    return;
  }
  c->received += n;
  if (c->received < size) return;
  if (mode == CHURN) {
    redial(fd);
  } else {
    messages++;
    say(fd);
  }
}

static void on_event(struct epoll_event event, double started) {
  int fd = event.data.fd;
  if (fd == STDIN_FILENO) {
    char byte;
    if (read(fd, &byte, 1) == 0) stopped = 1;
    return;
  }
  if (!connections[fd].connected) on_connected(fd, started);
  if (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(fd);
}

static void run(double seconds) {
  double started = now();
  for (int i = 0; i < wanted; i++) dial();
  // A busy machine may need longer for the first message, of which there is one to tell of.
  while (!stopped && (now() < started + seconds || (messages == 0 && mode != IDLE))) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll_fd, events, EVENTS, 50);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) on_event(events[i], started);
  }
  printf("{\"messages\":%ld,\"seconds\":%.6f,\"cpuSeconds\":%.6f}\n", messages, now() - started, cpu_seconds());
}

static bool parse_mode(const char *name) {
  for (mode = ECHO; mode <= IDLE; mode++)
    if (strcmp(name, mode_names[mode]) == 0) return true;
  return false;
}

int main(int count, char **arguments) {
  if (count < 6 || count > 7 || !parse_mode(arguments[1])) {
    fprintf(stderr, "usage: load echo|churn|knock|crowd|choir|idle PORT CONNECTIONS BYTES SECONDS [MESSAGE]\n");
    return 2;
  }
  port = atoi(arguments[2]);
  wanted = atoi(arguments[3]);
  size = atoi(arguments[4]);
  if (size < 1 || size > MAX_BYTES) {
    fprintf(stderr, "load: BYTES must be 1 to %d\n", MAX_BYTES);
    return 2;
  }
  if (count == 7 && strlen(arguments[6]) != (size_t)size) {
    fprintf(stderr, "load: MESSAGE must have BYTES\n");
    return 2;
  }
  signal(SIGTERM, stop);
  take_descriptors();
  if (count == 7) memcpy(message, arguments[6], size);
  else memset(message, 'm', size);
  // Everyone is greeted first.
  expected = (long)wanted * size;
  epoll_fd = epoll_create1(0);
  if (epoll_fd < 0) die("epoll_create1");
  // Fails where stdin is a file, which does not close: that is as well.
  struct epoll_event input = {.events = EPOLLIN, .data.fd = STDIN_FILENO};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &input);
  run(atof(arguments[5]));
  return 0;
}
