// echo-epoll-tls: the echo server over TLS in C, as one writes it with epoll(7) and OpenSSL: one thread, an SSL over each socket, handshakes
// that do not block, each record written back at once, and what a peer does not take kept until it can be written.
//
// usage: echo-epoll-tls CERTIFICATE KEY CIPHERS SUITES
//
// CERTIFICATE and KEY are PEM texts. CIPHERS are those of TLS 1.2, and SUITES those of TLS 1.3, by OpenSSL's names.
// Listens on a free port of 127.0.0.1 and prints its number. Ends when stdin closes, or on SIGTERM.

#include "epoll.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>

/** The limit of a record's plain bytes. */
enum { SIZE = 16 * 1024 };

struct connection {
  SSL *ssl;
  char *bytes; // what was read and not yet written; NULL when nothing waits. It reads no more until all of it is written.
  int length, written;
  unsigned watched;
  bool secured;
};

static SSL_CTX *context;
static struct connection *connections; // by descriptor
static char bytes[SIZE];

static void die_of_openssl(const char *what) {
  fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static void on_connection(int fd) {
  SSL *ssl = SSL_new(context);
  if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) die_of_openssl("SSL_new");
  SSL_set_accept_state(ssl);
  connections[fd] = (struct connection){.ssl = ssl, .watched = EPOLLIN};
}

static void over(int fd) {
  SSL_free(connections[fd].ssl);
  free(connections[fd].bytes);
  connections[fd] = (struct connection){0};
  if (close(fd) < 0) die("close"); // which also takes it out of the epoll
}

static void await(int fd, unsigned events) {
  if (connections[fd].watched == events) return;
  connections[fd].watched = events;
  watch(EPOLL_CTL_MOD, fd, events);
}

/** A call of OpenSSL gave `result`: it waits for the socket, or the connection is over. */
static void stopped(int fd, int result) {
  SSL *ssl = connections[fd].ssl;
  switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ: await(fd, EPOLLIN); return;
    case SSL_ERROR_WANT_WRITE: await(fd, EPOLLOUT); return;
    case SSL_ERROR_ZERO_RETURN: SSL_shutdown(ssl);
  }
  ERR_clear_error();
  over(fd);
}

/** Writes `length` bytes as far as the peer takes them: how many, or -1 when the connection is over. */
static int write_some(int fd, const char *from, int length) {
  int written = 0;
  while (written < length) {
    int result = SSL_write(connections[fd].ssl, from + written, length - written);
    if (result > 0) {
      written += result;
      continue;
    }
    stopped(fd, result);
    return connections[fd].ssl == NULL ? -1 : written;
  }
  return written;
}

static void keep(int fd, const char *from, int length) {
  struct connection *c = &connections[fd];
  c->bytes = malloc(length);
  if (c->bytes == NULL) die("malloc");
  memcpy(c->bytes, from, length);
  c->length = length;
  c->written = 0;
}

/** Writes the bytes that were kept. Whether the connection can be read again. */
static bool write_kept(int fd) {
  struct connection *c = &connections[fd];
  int written = write_some(fd, c->bytes + c->written, c->length - c->written);
  if (written < 0) return false;
  c->written += written;
  if (c->written < c->length) return false;
  free(c->bytes);
  c->bytes = NULL;
  await(fd, EPOLLIN);
  return true;
}

static bool secure(int fd) {
  struct connection *c = &connections[fd];
  int result = SSL_do_handshake(c->ssl);
  c->secured = result == 1;
  if (c->secured) await(fd, EPOLLIN);
  else stopped(fd, result);
  return c->secured;
}

static void on_ready(int fd) {
  struct connection *c = &connections[fd];
  if (!c->secured && !secure(fd)) return;
  if (c->bytes != NULL && !write_kept(fd)) return;
  // Of a record that has come whole, nothing is left in the SSL: then the socket is not asked again.
  do {
    int length = SSL_read(c->ssl, bytes, sizeof bytes);
    if (length <= 0) {
      stopped(fd, length);
      return;
    }
    await(fd, EPOLLIN);
    int written = write_some(fd, bytes, length);
    if (written < 0) return;
    if (written < length) {
      keep(fd, bytes + written, length - written);
      return;
    }
  } while (SSL_has_pending(c->ssl));
}

static void use_credentials(char *certificate, char *key) {
  BIO *bio = BIO_new_mem_buf(certificate, -1);
  X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
  if (x509 == NULL || SSL_CTX_use_certificate(context, x509) != 1) die_of_openssl("the certificate");
  BIO_free(bio);
  X509_free(x509);
  bio = BIO_new_mem_buf(key, -1);
  EVP_PKEY *private = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
  if (private == NULL || SSL_CTX_use_PrivateKey(context, private) != 1) die_of_openssl("the key");
  BIO_free(bio);
  EVP_PKEY_free(private);
}

int main(int count, char **arguments) {
  if (count != 5) {
    fprintf(stderr, "usage: echo-epoll-tls CERTIFICATE KEY CIPHERS SUITES\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN); // OpenSSL writes without MSG_NOSIGNAL
  context = SSL_CTX_new(TLS_server_method());
  if (context == NULL) die_of_openssl("SSL_CTX_new");
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1); // a record is read by one call
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); // tickets carry the sessions
  if (SSL_CTX_set_cipher_list(context, arguments[3]) != 1) die_of_openssl("the ciphers");
  if (SSL_CTX_set_ciphersuites(context, arguments[4]) != 1) die_of_openssl("the suites");
  use_credentials(arguments[1], arguments[2]);
  connections = take_descriptors(sizeof *connections);
  serve();
}
