/* The process that holds a pod's namespaces: does nothing, ends on a signal, and as process 1 of a shared process
 * namespace buries the orphans. Whatever its arguments are: they let it be told apart in a process list. */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal) {
  (void)signal;
  _exit(0);
}

static void bury(int signal) {
  (void)signal;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}

int main(void) {
  signal(SIGINT, end);
  signal(SIGTERM, end);
  signal(SIGCHLD, bury);
  for (;;) {
    pause();
  }
}
