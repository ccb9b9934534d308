/* How does throughput grow with the number of threads that use a filesystem?
 *
 *     clients KIND DIR THREADS SECONDS
 *
 * KIND     each thread
 *   read   reads 4 KiB at random places of a file of its own        read1   of one file that all share
 *   write  writes 4 KiB at random places of a file of its own       write1  of one file that all share
 *   create creates files in a directory of its own, 4 KiB each      create1 in one directory that all share
 *   stat   asks for attributes of files in a directory of its own   stat1   in one directory that all share
 *
 * `setup` as KIND makes what read and stat use, for THREADS threads. read and write use O_DIRECT, so that each is
 * a request to the server; stat opens no file, and asks with AT_STATX_FORCE_SYNC, so that the kernel asks too.
 * Prints operations per second. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, BLOCKS = 2048, FILES = 200 };

static const char *kind, *top;
static int together, threads;
static double seconds;
static pthread_barrier_t barrier;

struct client {
    int number;
    long done;
    double took;
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void setup(void) {
    static char path[4096], data[BLOCK];
    memset(data, 'x', sizeof data);
    for (int t = 0; t < threads; t++) {
        snprintf(path, sizeof path, "%s/data%d", top, t);
        int fd = open(path, O_WRONLY | O_CREAT, 0644);
        for (int b = 0; b < BLOCKS; b++)
            if (write(fd, data, BLOCK) != BLOCK) fail(path);
        if (close(fd)) fail(path);
        snprintf(path, sizeof path, "%s/d%d", top, t);
        if (mkdir(path, 0755)) fail(path);
        for (int f = 0; f < FILES; f++) {
            snprintf(path, sizeof path, "%s/d%d/s%d", top, t, f);
            if ((fd = open(path, O_WRONLY | O_CREAT, 0644)) < 0 || close(fd)) fail(path);
        }
    }
}

static void *run(void *argument) {
    struct client *c = argument;
    int where = together ? 0 : c->number, fd = -1, creates = kind[0] == 'c', stats = kind[0] == 's';
    unsigned seed = c->number + 1;
    char path[4096], *data;
    if (posix_memalign((void **)&data, BLOCK, BLOCK)) fail("memory");
    memset(data, 'x', BLOCK);
    if (!creates && !stats) {
        snprintf(path, sizeof path, "%s/data%d", top, where);
        if ((fd = open(path, O_RDWR | O_DIRECT)) < 0) fail(path);
    }
    pthread_barrier_wait(&barrier);
    double start = now();
    while (c->took < seconds) {
        off_t at = (off_t)(rand_r(&seed) % BLOCKS) * BLOCK;
        if (creates) {
            snprintf(path, sizeof path, "%s/d%d/c%d.%ld", top, where, c->number, c->done);
            int new = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
            if (new < 0 || write(new, data, BLOCK) != BLOCK || close(new)) fail(path);
        } else if (stats) {
            struct statx found;
            snprintf(path, sizeof path, "%s/d%d/s%d", top, where, (int)(rand_r(&seed) % FILES));
            if (statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &found)) fail(path);
        } else if (kind[0] == 'r' ? pread(fd, data, BLOCK, at) != BLOCK : pwrite(fd, data, BLOCK, at) != BLOCK) {
            fail(kind);
        }
        c->done++;
        c->took = now() - start;
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    kind = argv[1], top = argv[2], threads = atoi(argv[3]), seconds = atof(argv[4]);
    together = kind[strlen(kind) - 1] == '1';
    if (threads < 1 || threads > 256) return 2;
    if (!strcmp(kind, "setup")) return setup(), 0;
    struct client clients[256] = {0};
    pthread_t ids[256];
    pthread_barrier_init(&barrier, NULL, threads);
    for (int t = 0; t < threads; t++) {
        clients[t].number = t;
        if (pthread_create(&ids[t], NULL, run, &clients[t])) fail("thread");
    }
    double rate = 0;
    for (int t = 0; t < threads; t++) {
        pthread_join(ids[t], NULL);
        rate += clients[t].done / clients[t].took;
    }
    printf("%.1f\n", rate);
    return 0;
}
