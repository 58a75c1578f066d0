// What the courier has read before it gives its privileges up.
#pragma once

#include "control/service.h"
#include "core/log.h"
#include "core/result.h"
#include "daemon/master.h"
#include "daemon/translate.h"

namespace postrider::daemon {

struct Belongings {
    queue::Spool::Options spool;
    delivery::Options delivery;
    delivery::DialOptions dial;
    delivery::Maps maps;
    delivery::TlsChoice tls;
    tls::Material material;
    net::ResolverOptions resolver;
    control::Surroundings around;
};

/// Reads and opens all of it. The error is one with which no courier can start; tables that cannot
/// be opened are warned about.
Result<Belongings> gather(const Setup&, const Log&);

}  // namespace postrider::daemon
