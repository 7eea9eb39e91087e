// echo-epoll: the echo server in C, as one writes it with epoll(7): one thread, level-triggered readiness of descriptors that do
// not block, each read written back at once, and what a peer does not take kept until it can be written.
//
// usage: echo-epoll
//
// Listens on a free port of 127.0.0.1 and prints its number. Ends when stdin closes, or on SIGTERM.

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

enum { EVENTS = 1024, BACKLOG = 4096, SIZE = 64 * 1024 };

/** What a connection has read and not yet written: it reads no more until all of it is. */
struct connection {
  char *bytes; // NULL when nothing waits
  size_t length, written;
};

static int epoll;
static int listener;
static struct connection *connections; // by descriptor
static char bytes[SIZE];

static void die(const char *what) {
  fprintf(stderr, "echo-epoll: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void watch(int operation, int fd, unsigned events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (epoll_ctl(epoll, operation, fd, &event) < 0) die("epoll_ctl");
}

static void over(int fd) {
  free(connections[fd].bytes);
  connections[fd] = (struct connection){0};
  if (close(fd) < 0) die("close"); // which also takes it out of the epoll
}

/** Writes `length` bytes as far as the peer takes them: how many, or -1 when the connection is over. */
static ssize_t write_some(int fd, const char *from, size_t length) {
  size_t written = 0;
  while (written < length) {
    ssize_t result = send(fd, from + written, length - written, MSG_NOSIGNAL);
    if (result >= 0) written += result;
    else if (errno == EAGAIN) break;
    else if (errno != EINTR) return -1;
  }
  return written;
}

static void keep(int fd, const char *from, size_t length) {
  struct connection *c = &connections[fd];
  c->bytes = malloc(length);
  if (c->bytes == NULL) die("malloc");
  memcpy(c->bytes, from, length);
  c->length = length;
  c->written = 0;
  watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void on_readable(int fd) {
  ssize_t length = recv(fd, bytes, sizeof bytes, 0);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  ssize_t written = length > 0 ? write_some(fd, bytes, length) : -1;
  if (written < 0) over(fd);
  else if (written < length) keep(fd, bytes + written, length - written);
}

static void on_writable(int fd) {
  struct connection *c = &connections[fd];
  ssize_t written = write_some(fd, c->bytes + c->written, c->length - c->written);
  if (written < 0) {
    over(fd);
    return;
  }
  c->written += written;
  if (c->written < c->length) return;
  free(c->bytes);
  c->bytes = NULL;
  watch(EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void on_listener(void) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd >= 0) watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    else if (errno == EAGAIN) return;
    else if (errno != ECONNABORTED && errno != EINTR) die("accept");
  }
}

static void on_input(void) {
  char input[256];
  if (read(STDIN_FILENO, input, sizeof input) <= 0) exit(0);
}

static void run(void) {
  static struct epoll_event events[EVENTS];
  for (;;) {
    int count = epoll_wait(epoll, events, EVENTS, -1);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) on_listener();
      else if (fd == STDIN_FILENO) on_input();
      else if (connections[fd].bytes != NULL) on_writable(fd);
      else on_readable(fd);
    }
  }
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

static int listen_anywhere(void) {
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (listener < 0) die("socket");
  int one = 1; // which accepted connections inherit
  if (setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0) die("setsockopt");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) < 0) die("bind");
  if (listen(listener, BACKLOG) < 0) die("listen");
  if (getsockname(listener, (struct sockaddr *)&address, &length) < 0) die("getsockname");
  return ntohs(address.sin_port);
}

int main(void) {
  take_descriptors();
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) die("epoll_create1");
  int port = listen_anywhere();
  watch(EPOLL_CTL_ADD, listener, EPOLLIN);
  watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN);
  printf("%d\n", port);
  fflush(stdout);
  run();
}
