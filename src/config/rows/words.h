// Lets the rows of the registry name types and treatments without prefix.
#pragma once

#include "config/parameters.h"

namespace postrider::config::rows {

using enum Type;
using enum Treatment;

}  // namespace postrider::config::rows
