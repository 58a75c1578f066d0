#include "core/code_pages.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

namespace postrider {
namespace {

int forget(dl_phdr_info* object, std::size_t, void*) {
    // The kernel's own object is no file.
    if (object->dlpi_name != nullptr &&
        std::string_view(object->dlpi_name).starts_with("linux-vdso")) {
        return 0;
    }
    const auto page_size = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    for (unsigned i = 0; i < object->dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = object->dlpi_phdr[i];
        // Only what cannot have been written to is the same when it is read from its file again.
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
        const std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page_size - 1);
        const std::uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
        // Without success the pages stay: nothing else depends on it.
        (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
    return 0;
}

}  // namespace

void forget_code_pages() {
    ::dl_iterate_phdr(forget, nullptr);
}

}  // namespace postrider
