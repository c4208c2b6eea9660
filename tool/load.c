/* Maps a whole file into memory. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

int file_load(struct file *file, const char *path)
{
    int status = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
    if (fd < 0) {
        tool_say("%s: %s", path, strerror(errno));
        return -1;
    }
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        tool_say("%s: not a regular file", path);
        goto close;
    }
    if (info.st_size == 0) {
        tool_say("%s: the file is empty", path);
        goto close;
    }
    void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        tool_say("%s: cannot be mapped: %s", path, strerror(errno));
        goto close;
    }
    *file = (struct file){bytes, (size_t)info.st_size};
    status = 0;
close:
    close(fd);
    return status;
}

void file_unload(struct file *file)
{
    if (file->bytes != NULL)
        munmap((void *)file->bytes, file->size);
    *file = (struct file){NULL, 0};
}
