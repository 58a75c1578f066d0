// hash:, btree: and lmdb: tables, which are LMDB files beside their sources.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace postrider::table {

/// Calls `each` with every key and value of the index of `source`, in the order of the keys.
Result<void> for_each_entry(
    const std::string& source,
    const std::function<void(std::string_view key, std::string_view value)>& each);

}  // namespace postrider::table
