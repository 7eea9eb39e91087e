// echo-epoll: the echo server in C, as one writes it with epoll(7): one thread, level-triggered readiness of descriptors that do
// not block, each read written back at once, and what a peer does not take kept until it can be written.
//
// usage: echo-epoll
//
// Listens on a free port of 127.0.0.1 and prints its number. Ends when stdin closes, or on SIGTERM.

#include "epoll.h"

enum { SIZE = 64 * 1024 };

/** What a connection has read and not yet written: it reads no more until all of it is. */
struct connection {
  char *bytes; // NULL when nothing waits
  size_t length, written;
};

static struct connection *connections; // by descriptor
static char bytes[SIZE];

static void on_connection(int fd) { (void)fd; }

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

static void on_ready(int fd) {
  if (connections[fd].bytes != NULL) on_writable(fd);
  else on_readable(fd);
}

int main(void) {
  connections = take_descriptors(sizeof *connections);
  serve();
}
