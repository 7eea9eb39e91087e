// datagrams: an epoll load generator for UDP servers on loopback.
//
// usage: datagrams PORT PEERS BYTES SECONDS
//
// PEERS sockets, each with one message outstanding: a peer sends BYTES, waits until they have come back, and sends again.
// UDP may lose either: a peer that has waited for LOST seconds sends again. Ends after SECONDS and a message, or on SIGTERM;
// then prints one JSON object.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, MAX_BYTES = 8192, MAX_PEERS = 10000 };
static const double LOST = 0.2;

/** A socket, and when it last sent. */
struct peer {
  int fd;
  double sent;
};

static struct peer peers[MAX_PEERS];
static int size;
static char message[MAX_BYTES];
static long messages, lost;
static volatile sig_atomic_t stopped;

static void die(const char *what) {
  fprintf(stderr, "datagrams: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double seconds_of(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static double now(void) { return seconds_of(CLOCK_MONOTONIC); }

static void stop(int signal) {
  (void)signal;
  stopped = 1;
}

static void say(struct peer *peer, double at) {
  if (send(peer->fd, message, size, 0) != size) die("send");
  peer->sent = at;
}

static void open_peer(struct peer *peer, int port, int epoll_fd) {
  peer->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  if (peer->fd < 0) die("socket");
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(peer->fd, (struct sockaddr *)&server, sizeof server) < 0) die("connect");
  struct epoll_event interest = {.events = EPOLLIN, .data.ptr = peer};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, peer->fd, &interest) < 0) die("epoll_ctl");
}

static void on_readable(struct peer *peer, double at) {
  char bytes[MAX_BYTES];
  ssize_t n = recv(peer->fd, bytes, sizeof bytes, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) die("recv");
  if (n != size || memcmp(bytes, message, size) != 0) {
    errno = EBADMSG;
    die("recv");
  }
  messages++;
  say(peer, at);
}

static void resend(int count, double at) {
  for (int i = 0; i < count; i++) {
    if (at - peers[i].sent < LOST) continue;
    lost++;
    say(&peers[i], at);
  }
}

static void run(int count, double seconds, int epoll_fd) {
  double started = now();
  double checked = started;
  for (int i = 0; i < count; i++) say(&peers[i], started);
  for (double at = started; !stopped && (at < started + seconds || messages == 0); at = now()) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(epoll_fd, events, EVENTS, 50);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) on_readable(events[i].data.ptr, at);
    if (at - checked < LOST / 2) continue;
    checked = at;
    resend(count, at);
  }
  printf("{\"messages\":%ld,\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"lost\":%ld}\n", messages, now() - started,
         seconds_of(CLOCK_PROCESS_CPUTIME_ID), lost);
}

int main(int count, char **arguments) {
  int wanted = count == 5 ? atoi(arguments[2]) : 0;
  size = count == 5 ? atoi(arguments[3]) : 0;
  if (wanted < 1 || wanted > MAX_PEERS || size < 1 || size > MAX_BYTES) {
    fprintf(stderr, "usage: datagrams PORT PEERS BYTES SECONDS\n");
    return 2;
  }
  signal(SIGTERM, stop);
  memset(message, 'm', size);
  int epoll_fd = epoll_create1(0);
  if (epoll_fd < 0) die("epoll_create1");
  for (int i = 0; i < wanted; i++) open_peer(&peers[i], atoi(arguments[1]), epoll_fd);
  run(wanted, atof(arguments[4]), epoll_fd);
  return 0;
}
