// Memory that held a password is overwritten when it is given back.
#pragma once

namespace postrider {

/// While one exists, everything this process frees is overwritten first, and when it goes, what
/// traces.h tells of: for the moments in which texts with passwords are read, split and copied. Not
/// what is freed in builds with sanitizers, which have a heap of their own.
class WipedFrees {
public:
    WipedFrees();
    ~WipedFrees();
    WipedFrees(const WipedFrees&) = delete;
    WipedFrees& operator=(const WipedFrees&) = delete;
};

}  // namespace postrider
