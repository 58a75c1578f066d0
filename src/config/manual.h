// The manual page main.cf(5), made from the registry.
#pragma once

#include <string>

namespace postrider::config {

/// The whole page, for man(1). Its text of each parameter is the registry's: what the program does
/// and what the page says have one source.
std::string manual_page();

}  // namespace postrider::config
