// Questions to name servers.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "net/endpoint.h"
#include "net/stream.h"

namespace postrider::net {

enum class RecordType { A, Aaaa, Mx };

std::string_view to_string(RecordType);

struct MailExchanger {
    std::string host;  ///< empty in a null MX (RFC 7505)
    int preference = 0;
};

/// What a name server said. Aliases have been followed.
struct DnsAnswer {
    enum class Status {
        Found,
        NoSuchName,
        NoData,
        TryAgain,
        Unusable,
        Stopped,  ///< the client went before an answer came
    };

    Status status = Status::TryAgain;
    std::vector<IpAddress> addresses;  ///< at most 64
    std::vector<MailExchanger> exchangers;
};

/// `Host not found, try again` and its kin, as resolver(3) says them.
std::string_view to_string(DnsAnswer::Status);

struct DnsOptions {
    Duration try_timeout;
    int tries;
    std::vector<std::string> servers;  ///< empty: those of resolv_conf
    std::string resolv_conf;
};

/// One configuration of name servers, on the event loop. resolv.conf is read once, when it is made.
class DnsClient {
public:
    class Question;

    static Result<std::unique_ptr<DnsClient>> create(boost::asio::any_io_executor,
                                                     const DnsOptions&);
    ~DnsClient();

    /// Sends a question. `search` also tries the domains of resolv.conf.
    std::shared_ptr<Question> ask(const std::string& name, RecordType, bool search);
    /// Its answer; TryAgain if there is none by the deadline. Error only when cancelled.
    static Awaitable<Result<DnsAnswer>> answer(std::shared_ptr<Question>, MonotonicTime deadline);

private:
    class Channel;
    explicit DnsClient(std::unique_ptr<Channel>);

    std::unique_ptr<Channel> channel_;
};

}  // namespace postrider::net
