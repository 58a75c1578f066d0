// The end of an attempt: what is recorded of it, and whom it is reported to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/clock.h"
#include "delivery/options.h"
#include "message/report.h"
#include "queue/message.h"

namespace postrider::delivery {

/// Which recipients go where when an attempt is over. Ordinals of the lease.
struct Conclusion {
    std::vector<queue::Outcome> outcomes;               ///< As in Settlement; expiry applied.
    std::vector<message::ReportedRecipient> failures;   ///< For the non-delivery report.
    std::vector<message::ReportedRecipient> delays;     ///< For the delay notice.
    std::vector<message::ReportedRecipient> successes;  ///< For the success report.
    std::vector<std::uint32_t> reported;  ///< Failed: those of `failures`.
    std::vector<std::uint32_t> unwanted;  ///< Failed, and nobody wants to be told.
    std::vector<std::uint32_t> dead;      ///< Failed, and nobody can be told.
    std::size_t undecided = 0;            ///< Recipients still to be tried.
    bool expired = false;                 ///< Waiting recipients ran out of time.
};

/// Decides. `outcomes` are those of this attempt that have not been settled yet; recipients of the
/// lease that are Failed are owed a report since an earlier one; `relayed_without_dsn` are those
/// sent to a server that cannot report success itself. Expiry is tested after an attempt only, so
/// that a lifetime of 0 still means one; until `no_expiry_until` nothing expires before twice its
/// lifetime, and nothing at all if that is WallTime::max(). Reports on reports are never made: such
/// mail is dead.
Conclusion conclude(const queue::Lease&, std::vector<queue::Outcome> outcomes,
                    const std::vector<std::uint32_t>& relayed_without_dsn, const RetryOptions&,
                    WallTime now, WallTime no_expiry_until = {});

}  // namespace postrider::delivery
