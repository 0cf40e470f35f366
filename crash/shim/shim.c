/* Stands between a process and its files in one folder (LD_PRELOAD): counts what changes them, writes it down, and
 * at one place fails, or kills the process. Linux with glibc; built by the crate itself.
 *
 *   CRASH_FOLDER  the folder; what is done elsewhere passes
 *   CRASH_LOG     a file that gets a record of every call that has changed something
 *   CRASH_AT      the number, from 0, of the call at which something happens
 *   CRASH_TIMES   at how many calls from there on (1)
 *   CRASH_FAULT   "kill": killed before the call; "half": killed after half of a write; "eio", "enospc": the call
 *                 fails; "busy": not the call, but the request for a lock with this number is refused;
 *                 "sync": it is the sync with this number that fails with EIO
 *
 * A record: kind (1 byte), whether it failed (1), length of the name (2), length of the data (4), an offset or a
 * length (8), the name, the data. Numbers are little-endian.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum fault { NOTHING, KILL, HALF, FAIL, BUSY, SYNC };

static char folder[PATH_MAX];
static size_t folder_length;
static int log_file = -1;
static long at = -1, times = 1;
static enum fault fault = NOTHING;
static int failure = 0;
static long calls = 0, locks = 0, syncs = 0;

static int (*real_open)(const char *, int, ...);
static int (*real_open64)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_openat64)(int, const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_ftruncate64)(int, off64_t);
static int (*real_unlink)(const char *);
static int (*real_rename)(const char *, const char *);
static int (*real_fcntl)(int, int, ...);
static int (*real_fcntl64)(int, int, ...);

#define FIND(name) *(void **)(&real_##name) = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    FIND(open); FIND(open64); FIND(openat); FIND(openat64); FIND(write); FIND(pwrite); FIND(pwrite64);
    FIND(fsync); FIND(fdatasync); FIND(ftruncate); FIND(ftruncate64); FIND(unlink); FIND(rename);
    FIND(fcntl); FIND(fcntl64);
    const char *where = getenv("CRASH_FOLDER");
    if (!where || !realpath(where, folder)) return;
    folder_length = strlen(folder);
    const char *log = getenv("CRASH_LOG");
    if (log) log_file = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const char *number = getenv("CRASH_AT");
    if (number) at = atol(number);
    number = getenv("CRASH_TIMES");
    if (number) times = atol(number);
    const char *what = getenv("CRASH_FAULT");
    if (!what) return;
    if (!strcmp(what, "kill")) fault = KILL;
    if (!strcmp(what, "half")) fault = HALF;
    if (!strcmp(what, "eio")) { fault = FAIL; failure = EIO; }
    if (!strcmp(what, "enospc")) { fault = FAIL; failure = ENOSPC; }
    if (!strcmp(what, "busy")) fault = BUSY;
    if (!strcmp(what, "sync")) { fault = SYNC; failure = EIO; }
}

/* The name within the folder, or NULL. The folder itself has the name "". */
static const char *within(const char *path) {
    if (!folder_length || strncmp(path, folder, folder_length)) return NULL;
    if (path[folder_length] == 0) return "";
    return path[folder_length] == '/' ? path + folder_length + 1 : NULL;
}

static const char *name_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return NULL;
    path[length] = 0;
    return within(path);
}

static void note(char kind, int failed, const char *name, uint64_t number, const void *data, size_t length) {
    if (log_file < 0) return;
    unsigned char head[16];
    uint16_t name_length = (uint16_t)strlen(name);
    uint32_t data_length = (uint32_t)length;
    head[0] = (unsigned char)kind;
    head[1] = (unsigned char)failed;
    memcpy(head + 2, &name_length, 2);
    memcpy(head + 4, &data_length, 4);
    memcpy(head + 8, &number, 8);
    struct iovec parts[3] = {
        {head, sizeof head}, {(void *)name, name_length}, {(void *)data, length},
    };
    if (writev(log_file, parts, 3) != (ssize_t)(sizeof head + name_length + length)) {
        kill(getpid(), SIGABRT);
    }
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Counts a call. True if it is to fail; then errno is set. `half` is set if it is to be done by half. */
static int comes(int is_sync, int *half) {
    long number = calls++;
    long sync = is_sync ? syncs++ : -1;
    if (fault == SYNC && is_sync && sync >= at && sync - at < times) {
        errno = failure;
        return 1;
    }
    if (at < 0 || number < at || number - at >= times) return 0;
    if (fault == KILL) die();
    if (fault == HALF) {
        if (!half) die();
        *half = 1;
    }
    if (fault == FAIL) {
        errno = failure;
        return 1;
    }
    return 0;
}

static int opened(const char *path, int flags, int is_new, int fd) {
    const char *name = within(path);
    if (name && is_new && fd >= 0) note('C', 0, name, 0, NULL, 0);
    if (name && (flags & O_TRUNC) && fd >= 0) note('T', 0, name, 0, NULL, 0);
    return fd;
}

/* Whether an open makes something new in the folder; -1 if it is to fail. */
static int makes(const char *path, int flags) {
    struct stat found;
    if (!(flags & (O_CREAT | O_TRUNC)) || !within(path)) return 0;
    int is_new = stat(path, &found) != 0;
    if (!is_new && !(flags & O_TRUNC)) return 0;
    if (comes(0, NULL)) return -1;
    return is_new;
}

#define OPEN(name, call)                                          \
    mode_t mode = 0;                                              \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {  \
        va_list more;                                             \
        va_start(more, flags);                                    \
        mode = va_arg(more, mode_t);                              \
        va_end(more);                                             \
    }                                                             \
    int is_new = makes(path, flags);                              \
    if (is_new < 0) return -1;                                    \
    return opened(path, flags, is_new, call);

int open(const char *path, int flags, ...) { OPEN(open, real_open(path, flags, mode)) }
int open64(const char *path, int flags, ...) { OPEN(open64, real_open64(path, flags, mode)) }
int openat(int at_folder, const char *path, int flags, ...) {
    OPEN(openat, real_openat(at_folder, path, flags, mode))
}
int openat64(int at_folder, const char *path, int flags, ...) {
    OPEN(openat64, real_openat64(at_folder, path, flags, mode))
}

ssize_t write(int fd, const void *data, size_t length) {
    char path[PATH_MAX];
    /* An answer ends with a new line: it is told, from here on. */
    if (fd == 1 && length && ((const char *)data)[length - 1] == '\n') note('O', 0, "", 0, NULL, 0);
    const char *name = fd > 2 ? name_of(fd, path) : NULL;
    if (!name) return real_write(fd, data, length);
    off64_t offset = lseek64(fd, 0, SEEK_CUR);
    int half = 0;
    if (comes(0, &half)) return -1;
    if (half) {
        real_write(fd, data, length / 2);
        die();
    }
    ssize_t written = real_write(fd, data, length);
    if (written > 0) note('W', 0, name, (uint64_t)offset, data, (size_t)written);
    return written;
}

static ssize_t at_offset(int fd, const void *data, size_t length, off64_t offset) {
    char path[PATH_MAX];
    const char *name = name_of(fd, path);
    if (!name) return real_pwrite64(fd, data, length, offset);
    int half = 0;
    if (comes(0, &half)) return -1;
    if (half) {
        real_pwrite64(fd, data, length / 2, offset);
        die();
    }
    ssize_t written = real_pwrite64(fd, data, length, offset);
    if (written > 0) note('W', 0, name, (uint64_t)offset, data, (size_t)written);
    return written;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    return at_offset(fd, data, length, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    return at_offset(fd, data, length, offset);
}

static int synced(int fd, int (*sync)(int)) {
    char path[PATH_MAX];
    const char *name = name_of(fd, path);
    if (!name) return sync(fd);
    if (comes(1, NULL)) {
        int error = errno;
        note('S', 1, name, 0, NULL, 0);
        errno = error;
        return -1;
    }
    int result = sync(fd);
    note('S', result != 0, name, 0, NULL, 0);
    return result;
}

int fsync(int fd) { return synced(fd, real_fsync); }
int fdatasync(int fd) { return synced(fd, real_fdatasync); }

static int cut(int fd, off64_t length) {
    char path[PATH_MAX];
    const char *name = name_of(fd, path);
    if (!name) return real_ftruncate64(fd, length);
    if (comes(0, NULL)) return -1;
    int result = real_ftruncate64(fd, length);
    if (!result) note('T', 0, name, (uint64_t)length, NULL, 0);
    return result;
}

int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

int unlink(const char *path) {
    const char *name = within(path);
    struct stat found;
    if (!name || stat(path, &found)) return real_unlink(path);
    if (comes(0, NULL)) return -1;
    int result = real_unlink(path);
    if (!result) note('U', 0, name, 0, NULL, 0);
    return result;
}

int rename(const char *from, const char *to) {
    const char *name = within(from), *other = within(to);
    if (!name || !other) return real_rename(from, to);
    if (comes(0, NULL)) return -1;
    int result = real_rename(from, to);
    if (!result) note('R', 0, name, 0, other, strlen(other));
    return result;
}

static int refused(int fd, int command, void *argument) {
    char path[PATH_MAX];
    if (command != F_SETLK && command != F_OFD_SETLK) return 0;
    if (((struct flock *)argument)->l_type == F_UNLCK) return 0;
    const char *name = name_of(fd, path);
    if (!name) return 0;
    note('L', 0, name, 0, NULL, 0);
    long number = locks++;
    if (fault != BUSY || number < at || number - at >= times) return 0;
    errno = EAGAIN;
    return 1;
}

#define CONTROL(name)                                   \
    va_list more;                                       \
    va_start(more, command);                            \
    void *argument = va_arg(more, void *);              \
    va_end(more);                                       \
    if (refused(fd, command, argument)) return -1;      \
    return real_##name(fd, command, argument);

int fcntl(int fd, int command, ...) { CONTROL(fcntl) }
int fcntl64(int fd, int command, ...) { CONTROL(fcntl64) }
