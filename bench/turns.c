/* Which of several trees of small files opens and reads fastest? One process goes through all of them, a
 * directory of each in turn, so that whatever else the machine does weighs on all alike:
 *
 *     turns DIRECTORIES DIR...       each DIR as `small create` leaves it
 *
 * Prints a line for each turn: how many files per second were opened, read and closed in each DIR. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PER_DIRECTORY = 200, LENGTH = 4096, MOST = 16 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void read_directory(const char *top, int d) {
    static char path[4096], content[4096];
    for (int n = d * PER_DIRECTORY; n < (d + 1) * PER_DIRECTORY; n++) {
        snprintf(path, sizeof path, "%s/d%d/file%d", top, d, n);
        int fd = open(path, O_RDONLY);
        if (fd < 0 || read(fd, content, sizeof content) != LENGTH || close(fd) < 0) {
            perror(path);
            exit(1);
        }
    }
}

int main(int argc, char **argv) {
    int directories = argc > 2 ? atoi(argv[1]) : 0, trees = argc - 2;
    if (directories < 1 || trees > MOST) return 2;
    for (int d = 0; d < directories; d++) {
        double took[MOST];
        for (int t = 0; t < trees; t++) {
            int tree = (t + d) % trees;
            double start = now();
            read_directory(argv[2 + tree], d);
            took[tree] = now() - start;
        }
        for (int t = 0; t < trees; t++) printf("%.1f%s", PER_DIRECTORY / took[t], t + 1 < trees ? " " : "\n");
    }
    return 0;
}
