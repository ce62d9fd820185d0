/* The way out for files: whole or not at all, on full disks and over wrong targets too. */
#define _GNU_SOURCE /* asprintf, unshare */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "harness.h"
#include "io/file.h"
#include "small_disk.h"

/* A fresh directory of this rank's own; the caller frees. */
static char *own_directory(const char *name)
{
    char *path = NULL, with_rank[64];
    snprintf(with_rank, sizeof with_rank, "%s-%d", name, test_comm.rank);
    path = harness_path(with_rank);
    CU_ASSERT_EQUAL(mkdir(path, 0777), 0);
    return path;
}

static char *join(const char *directory, const char *name)
{
    char *path = NULL;
    REQUIRE(asprintf(&path, "%s/%s", directory, name) >= 0);
    return path;
}

static int holds(const char *path, const char *text)
{
    char *p;
    size_t n;
    if (file_read_all(path, &p, &n, 1 << 20) != IAU_OK)
        return 0;
    int same = n == strlen(text) && !memcmp(p, text, n);
    free(p);
    return same;
}

static void a_file_is_written_and_replaced(void)
{
    char *dir = own_directory("write"), *path = join(dir, "a.txt");
    struct stat st;
    CU_ASSERT_EQUAL(file_exists(path), 0);
    CU_ASSERT_EQUAL(file_check_target(path), IAU_OK);
    CU_ASSERT_EQUAL(file_write_atomic(path, "first", 5), IAU_OK);
    CU_ASSERT_EQUAL(file_exists(path), 1);
    CU_ASSERT(holds(path, "first"));
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
    CU_ASSERT_EQUAL(file_write_atomic(path, "", 0), IAU_OK);
    CU_ASSERT(holds(path, ""));
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 0777, 0600); /* a private file stays private */
    CU_ASSERT_EQUAL(count_entries(dir, ""), 1);
    CU_ASSERT_EQUAL(file_remove(path), IAU_OK);
    CU_ASSERT_EQUAL(file_remove(path), IAU_OK);
    CU_ASSERT_EQUAL(count_entries(dir, ""), 0);
    free(path);
    free(dir);
}

/* Every way of writing refuses `path`, with `text` in the message. */
static void expect_refused(const char *path, const char *text)
{
    harness_expect_error(file_check_target(path), IAU_ERR_IO, text);
    harness_expect_error(file_write_atomic(path, "x", 1), IAU_ERR_IO, text);
}

static void targets_that_are_no_regular_file_are_refused(void)
{
    char *dir = own_directory("kinds"), *sub = join(dir, "sub"), *fifo = join(dir, "fifo");
    char *to_dir = join(dir, "to_dir"), *to_fifo = join(dir, "to_fifo"),
         *to_nothing = join(dir, "to_nothing");
    char *slash = join(dir, "sub/"), *temporary = join(dir, "written");
    CU_ASSERT_EQUAL(mkdir(sub, 0777) | mkfifo(fifo, 0666), 0);
    CU_ASSERT_EQUAL(
        symlink("sub", to_dir) | symlink("fifo", to_fifo) | symlink("absent", to_nothing), 0);
    expect_refused(sub, "/sub is a directory");
    expect_refused(slash, "names no file");
    expect_refused("", "'' names no file");
    expect_refused(fifo, "/fifo is a device, pipe or socket");
    expect_refused("/dev/null", "/dev/null is a device");
    expect_refused(to_dir, "/to_dir is a directory");
    expect_refused(to_fifo, "/to_fifo is a device");
    expect_refused(to_nothing, "/to_nothing is a link to nothing");
    harness_expect_error(-file_exists(fifo), IAU_ERR_IO, "no regular file");
    /* A streaming writer finds out at the end: its temporary file goes. */
    CU_ASSERT_EQUAL(file_write_atomic(temporary, "x", 1), IAU_OK);
    harness_expect_error(file_commit(temporary, fifo), IAU_ERR_IO, "/fifo is a device");
    CU_ASSERT_EQUAL(file_exists(temporary), 0);
    CU_ASSERT_EQUAL(count_entries(dir, ""), 5);
    free(temporary);
    free(slash);
    free(to_nothing);
    free(to_fifo);
    free(to_dir);
    free(fifo);
    free(sub);
    free(dir);
}

static void a_link_to_a_file_stays_a_link(void)
{
    char *dir = own_directory("link"), *far = join(dir, "far"), *file = join(dir, "far/file");
    char *link_path = join(dir, "link");
    struct stat st;
    CU_ASSERT_EQUAL(mkdir(far, 0777), 0);
    CU_ASSERT_EQUAL(file_write_atomic(file, "old", 3), IAU_OK);
    CU_ASSERT_EQUAL(symlink("far/file", link_path), 0);
    CU_ASSERT_EQUAL(file_write_atomic(link_path, "new", 3), IAU_OK);
    CU_ASSERT(lstat(link_path, &st) == 0 && S_ISLNK(st.st_mode));
    CU_ASSERT(holds(file, "new"));
    CU_ASSERT_EQUAL(count_entries(far, ""), 1);
    free(link_path);
    free(file);
    free(far);
    free(dir);
}

static void wrong_directories_are_named(void)
{
    char *dir = own_directory("where"), *file = join(dir, "file"), *below = join(dir, "file/below");
    char *absent = join(dir, "absent/file"), *deep = join(dir, "a/b//c/"),
         *deep_below = join(dir, "file/x/y");
    CU_ASSERT_EQUAL(file_write_atomic(file, "whole", 5), IAU_OK);
    expect_refused(below, "Not a directory");
    harness_expect_error(file_check_target(absent), IAU_ERR_IO,
                         "/absent: No such file or directory");
    harness_expect_error(file_write_atomic(absent, "x", 1), IAU_ERR_IO,
                         "/absent/file: No such file or directory");
    harness_expect_error(file_make_directory(deep_below), IAU_ERR_IO, "cannot create directory");
    harness_expect_error(file_make_directory(file), IAU_ERR_IO, "File exists");
    CU_ASSERT_EQUAL(file_make_directory(deep), IAU_OK);
    CU_ASSERT_EQUAL(file_make_directory(deep), IAU_OK);
    CU_ASSERT(holds(file, "whole"));
    free(deep_below);
    free(deep);
    free(absent);
    free(below);
    free(file);
    free(dir);
}

static void a_read_only_directory_is_refused(void)
{
    if (geteuid() == 0) {
        harness_skip("an account other than root, which permissions bind");
        return;
    }
    char *dir = own_directory("locked"), *path = join(dir, "file");
    CU_ASSERT_EQUAL(chmod(dir, 0555), 0);
    expect_refused(path, "Permission denied");
    CU_ASSERT_EQUAL(chmod(dir, 0755), 0);
    free(path);
    free(dir);
}

static void a_file_size_limit_leaves_the_earlier_file(void)
{
    char *dir = own_directory("limit"), *path = join(dir, "file"), *large = calloc(1, 1 << 20);
    CU_ASSERT_EQUAL(file_write_atomic(path, "earlier", 7), IAU_OK);
    limit_file_size(100000);
    int rc = file_write_atomic(path, large, 1 << 20);
    limit_file_size(RLIM_INFINITY);
    harness_expect_error(rc, IAU_ERR_IO, "/file: File too large");
    CU_ASSERT(holds(path, "earlier"));
    CU_ASSERT_EQUAL(count_entries(dir, ""), 1);
    CU_ASSERT_EQUAL(file_write_atomic(path, large, 1 << 20), IAU_OK);
    free(large);
    free(path);
    free(dir);
}

static int fill_disk(const char *dir)
{
    char *path = join(dir, "file"), *large = calloc(1, 4 << 20);
    if (file_write_atomic(path, "earlier", 7) != IAU_OK)
        return 1;
    if (file_write_atomic(path, large, 4 << 20) != IAU_ERR_IO)
        return 2;
    if (!strstr(error_message(), "/file: No space left on device"))
        return 3;
    if (!holds(path, "earlier") || count_entries(dir, "") != 1)
        return 4;
    return 0;
}

static void a_full_disk_leaves_the_earlier_file(void)
{
    char *dir = own_directory("disk");
    int failed = small_disk_run(dir, fill_disk);
    if (failed == SMALL_DISK_NONE)
        harness_skip("the right to mount a file system");
    else
        CU_ASSERT_EQUAL(failed, 0);
    free(dir);
}

/* A file that a process of this number has left beside `path`. */
static void leave(const char *path, long pid)
{
    char *name = file_temporary_name(path), *left = NULL;
    char *end = strrchr(name, '.'); /* NAME.HOST.NAMESPACE.PID.tmp */
    REQUIRE(end);
    *end = '\0';
    end = strrchr(name, '.');
    *end = '\0';
    REQUIRE(asprintf(&left, "%s.%ld.tmp", name, pid) >= 0);
    FILE *f = fopen(left, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fclose(f);
    free(left);
    free(name);
}

static void what_dead_processes_left_is_removed(void)
{
    char *dir = own_directory("stale"), *path = join(dir, "file"), *other = join(dir, "file2"),
         *elsewhere = join(dir, "file.otherhost.4026531836.99999999.tmp"), *to = join(dir, "to");
    int status;
    pid_t dead = fork();
    if (dead == 0)
        _exit(0);
    CU_ASSERT_EQUAL(waitpid(dead, &status, 0), dead);
    leave(path, dead);
    leave(path, getppid()); /* alive */
    leave(other, dead);     /* of another target */
    CU_ASSERT_EQUAL(file_write_atomic(elsewhere, "x", 1), IAU_OK);
    CU_ASSERT_EQUAL(symlink("file", to), 0);
    CU_ASSERT_EQUAL(count_entries(dir, ".tmp"), 4);
    CU_ASSERT_EQUAL(file_write_atomic(path, "x", 1), IAU_OK);
    CU_ASSERT_EQUAL(count_entries(dir, ".tmp"), 3);
    CU_ASSERT_EQUAL(count_entries(dir, "file2."), 1);
    leave(path, dead);
    CU_ASSERT_EQUAL(file_write_atomic(to, "y", 1), IAU_OK); /* through a link */
    CU_ASSERT_EQUAL(count_entries(dir, ".tmp"), 3);
    CU_ASSERT_EQUAL(file_remove_stale("/nowhere/file"), IAU_OK);
    free(to);
    free(elsewhere);
    free(other);
    free(path);
    free(dir);
}

static void files_are_moved_and_duplicated(void)
{
    char *dir = own_directory("move"), *a = join(dir, "a"), *b = join(dir, "b"),
         *absent = join(dir, "absent");
    CU_ASSERT_EQUAL(file_write_atomic(a, "first", 5), IAU_OK);
    CU_ASSERT_EQUAL(file_write_atomic(b, "other", 5), IAU_OK);
    CU_ASSERT_EQUAL(file_duplicate(a, b), IAU_OK);
    CU_ASSERT(holds(a, "first") && holds(b, "first"));
    CU_ASSERT_EQUAL(file_write_atomic(a, "second", 6), IAU_OK);
    CU_ASSERT(holds(a, "second") && holds(b, "first"));
    CU_ASSERT_EQUAL(file_move(b, a), IAU_OK);
    CU_ASSERT(holds(a, "first") && file_exists(b) == 0);
    CU_ASSERT_EQUAL(file_move(absent, a), IAU_OK);
    CU_ASSERT_EQUAL(file_duplicate(absent, b), IAU_OK);
    CU_ASSERT(holds(a, "first") && file_exists(b) == 0);
    free(absent);
    free(b);
    free(a);
    free(dir);
}

static void reading_refuses_what_is_too_long_or_absent(void)
{
    char *dir = own_directory("read"), *path = join(dir, "file"), *absent = join(dir, "absent"), *p;
    size_t n;
    char bytes[10000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i % 251);
    CU_ASSERT_EQUAL(file_write_atomic(path, bytes, sizeof bytes), IAU_OK);
    CU_ASSERT_EQUAL(file_read_all(path, &p, &n, sizeof bytes), IAU_OK);
    CU_ASSERT_EQUAL(n, sizeof bytes);
    CU_ASSERT(p && !memcmp(p, bytes, sizeof bytes) && p[n] == '\0');
    free(p);
    harness_expect_error(file_read_all(path, &p, &n, sizeof bytes - 1), IAU_ERR_FORMAT,
                         "longer than 9999 bytes");
    CU_ASSERT_PTR_NULL(p);
    harness_expect_error(file_read_all(absent, &p, &n, 10), IAU_ERR_IO, "/absent: No such file");
    harness_expect_error(file_read_all(dir, &p, &n, 10), IAU_ERR_IO, "Is a directory");
    free(absent);
    free(path);
    free(dir);
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"a file is written and replaced", a_file_is_written_and_replaced},
        {"targets that are no regular file are refused",
         targets_that_are_no_regular_file_are_refused},
        {"a link to a file stays a link", a_link_to_a_file_stays_a_link},
        {"wrong directories are named", wrong_directories_are_named},
        {"a read-only directory is refused", a_read_only_directory_is_refused},
        {"a file-size limit leaves the earlier file", a_file_size_limit_leaves_the_earlier_file},
        {"a full disk leaves the earlier file", a_full_disk_leaves_the_earlier_file},
        {"what dead processes left is removed", what_dead_processes_left_is_removed},
        {"files are moved and duplicated", files_are_moved_and_duplicated},
        {"reading refuses what is too long or absent", reading_refuses_what_is_too_long_or_absent},
        CU_TEST_INFO_NULL};
    return harness_run(argc, argv, "file", tests);
}
