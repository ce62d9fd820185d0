/* Disks that fill up: a file-size limit, and a small file system of the test's own where mounting
 * is allowed. */
#ifndef IAU_TESTS_SMALL_DISK_H
#define IAU_TESTS_SMALL_DISK_H

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SMALL_DISK_NONE = 77 };

/* Run `work` on a fresh file system of 3 MB at `directory`, seen by a child process only. `work`
 * returns 0 or the number of its check that failed, below 77; SMALL_DISK_NONE where nothing can be
 * mounted. */
static inline int small_disk_run(const char *directory, int (*work)(const char *directory))
{
    int status;
    mkdir(directory, 0777);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int ready = unshare(CLONE_NEWNS) == 0 &&
                    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                    mount("tmpfs", directory, "tmpfs", 0, "size=3m") == 0;
        _exit(ready ? work(directory) : SMALL_DISK_NONE);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return SMALL_DISK_NONE;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Limit files of this process to n bytes; a write beyond is an error instead of a signal. */
static inline void limit_file_size(rlim_t n)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = n < limit.rlim_max ? n : limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
}

/* Entries of a directory whose name contains `part`; -1 if it cannot be read. */
static inline int count_entries(const char *directory, const char *part)
{
    int n = 0;
    DIR *dir = opendir(directory);
    if (!dir)
        return -1;
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.' && strstr(e->d_name, part) != NULL;
    closedir(dir);
    return n;
}

#endif
