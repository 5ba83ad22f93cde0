// What all our C++ that Rust calls has in common.

#pragma once

#include <cstring>
#include <exception>

// Runs `work`; on an exception gives its message, to be freed by the caller.
template <typename Work>
char* guarded(Work work) {
    try {
        work();
        return nullptr;
    } catch (const std::exception& error) {
        return strdup(error.what());
    }
}
