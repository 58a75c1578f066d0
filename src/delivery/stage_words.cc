#include "delivery/stage_words.h"

#include <iterator>

namespace postrider::delivery {

namespace {

constexpr struct {
    Stage stage;
    StageWords words;
} kStages[] = {
    {Stage::Connect, {"connect", "receiving the initial server greeting", ""}},
    {Stage::Greeting, {"connect", "receiving the initial server greeting", ""}},
    {Stage::Ehlo, {"connect", "performing the EHLO handshake", ""}},
    {Stage::Helo, {"connect", "performing the HELO handshake", ""}},
    {Stage::StartTls, {"connect", "receiving the STARTTLS response", ""}},
    {Stage::Tls, {"connect", "performing the TLS handshake", ""}},
    {Stage::Auth, {"auth", "performing SASL authentication", ""}},
    {Stage::Mail, {"mail", "sending MAIL FROM", "MAIL FROM command"}},
    {Stage::Rcpt, {"rcpt", "sending RCPT TO", "RCPT TO command"}},
    {Stage::Data, {"data", "sending DATA command", "DATA command"}},
    {Stage::Content, {"data", "sending message body", "BDAT command"}},
    {Stage::EndOfData,
     {"end", "sending end of data -- message may be sent more than once", "end of DATA command"}},
    {Stage::Rset, {"end", "sending final RSET", "final RSET command"}},
    {Stage::Quit, {"end", "sending QUIT", "QUIT command"}},
};

constexpr bool are_in_order() {
    for (std::size_t i = 0; i < std::size(kStages); ++i) {
        if (static_cast<std::size_t>(kStages[i].stage) != i) return false;
    }
    return std::size(kStages) == static_cast<std::size_t>(Stage::Quit) + 1;
}
static_assert(are_in_order());

}  // namespace

const StageWords& words_of(Stage stage) {
    return kStages[static_cast<std::size_t>(stage)].words;
}

}  // namespace postrider::delivery
