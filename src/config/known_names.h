// Names that Postfix knows and postrider does not serve.
#pragma once

#include <string_view>

namespace postrider::config {

/// True for parameters of Postfix that have no row in the registry: not a typing mistake, but
/// without effect here. They have a name and nothing else.
bool is_known_to_postfix(std::string_view name);

}  // namespace postrider::config
