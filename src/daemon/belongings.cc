#include "daemon/belongings.h"

#include <fstream>
#include <memory>
#include <string>

#include "daemon/accounts.h"

namespace postrider::daemon {
namespace {

/// Whether a uid's login name is in a list such as authorized_mailq_users.
std::function<bool(std::int64_t)> uid_list(const config::Config& config, std::string_view parameter,
                                           const Log& log) {
    auto list = std::make_shared<table::MatchList>(open_match_list(config, parameter, log));
    return [list, accounts = Accounts::load()](std::int64_t uid) {
        const auto login = accounts(uid);
        const auto match = list->matches(login ? login->name : "unknown");
        return match && *match;
    };
}

control::Surroundings surroundings(const Setup& setup, const Log& log) {
    control::Surroundings around;
    around.owner_uid = setup.owner.uid;
    // Others see everybody's mail only where the operator says so explicitly.
    if (setup.config.is_set("authorized_mailq_users")) {
        around.may_list_all = uid_list(setup.config, "authorized_mailq_users", log);
    }
    around.may_flush = uid_list(setup.config, "authorized_flush_users", log);
    return around;
}

}  // namespace

Result<Belongings> gather(const Setup& setup, const Log& log) {
    const config::Config& config = setup.config;
    Belongings belongings;
    belongings.around = surroundings(setup, log);
    belongings.spool = spool_options(config);
    std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), belongings.spool.boot);
    auto delivery = delivery_options(config, log);
    if (!delivery) return Unexpected(std::move(delivery).error());
    belongings.delivery = std::move(delivery).value();
    belongings.maps = delivery_maps(config, setup.owner, log);
    auto policy = tls_policy(config);
    if (!policy) return Unexpected(std::move(policy).error());
    belongings.tls.policy = std::move(policy).value();
    belongings.tls.log_level = tls_log_level(config);
    tls::load_library();
    auto material = tls::read_material(tls_files(config));
    if (!material) return Unexpected(std::move(material).error());
    belongings.material = std::move(material).value();
    belongings.resolver = resolver_options(config);
    auto dial = dial_options(config, belongings.delivery);
    if (!dial) return Unexpected(std::move(dial).error());
    belongings.dial = std::move(dial).value();
    return belongings;
}

}  // namespace postrider::daemon
