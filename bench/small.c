/* How fast are many small files? One phase per run, so that caches can be dropped between phases:
 *
 *     small PHASE DIR FILES [PER-DIRECTORY]        PHASE: create stat read rename unlink ask
 *
 * Files of 4 KiB, 200 to a directory. `ask` asks one file FILES times for an attribute that it does not have, which
 * costs a request and nothing else. Prints operations per second. A script's own overhead would hide the differences;
 * this has none. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { LENGTH = 4096 };

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void check(int result, const char *what) {
    if (result < 0) fail(what);
}

int main(int argc, char **argv) {
    if (argc < 4 || argc > 5) return 2;
    const char *phase = argv[1], *top = argv[2];
    int files = atoi(argv[3]), per_directory = argc > 4 ? atoi(argv[4]) : 200;
    if (files < 1 || per_directory < 1) return 2;
    static char content[LENGTH], path[4096], other[4096];
    memset(content, 'x', sizeof content);
    if (!strcmp(phase, "create"))
        for (int d = 0; d * per_directory < files; d++) {
            snprintf(path, sizeof path, "%s/d%d", top, d);
            check(mkdir(path, 0755), path);
        }
    int asked = -1;
    if (!strcmp(phase, "ask")) {
        snprintf(path, sizeof path, "%s/asked", top);
        check(asked = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644), path);
    }
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int n = 0; n < files; n++) {
        const char *name = strcmp(phase, "unlink") ? "file" : "renamed";
        snprintf(path, sizeof path, "%s/d%d/%s%d", top, n / per_directory, name, n);
        if (!strcmp(phase, "create")) {
            int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
            check(fd, path);
            if (write(fd, content, LENGTH) != LENGTH) fail(path);
            check(close(fd), path);
        } else if (!strcmp(phase, "stat")) {
            struct stat s;
            check(stat(path, &s), path);
            if (s.st_size != LENGTH) fail("wrong size");
        } else if (!strcmp(phase, "read")) {
            int fd = open(path, O_RDONLY);
            check(fd, path);
            if (read(fd, other, sizeof other) != LENGTH) fail(path);
            check(close(fd), path);
        } else if (!strcmp(phase, "rename")) {
            snprintf(other, sizeof other, "%s/d%d/renamed%d", top, n / per_directory, n);
            check(rename(path, other), path);
        } else if (!strcmp(phase, "unlink")) {
            check(unlink(path), path);
        } else if (!strcmp(phase, "ask")) {
            if (fgetxattr(asked, "security.capability", other, sizeof other) >= 0 || errno != ENODATA) fail(path);
        } else {
            return 2;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (end.tv_sec - start.tv_sec) + (end.tv_nsec - start.tv_nsec) / 1e9;
    printf("%.1f\n", files / seconds);
    return 0;
}
