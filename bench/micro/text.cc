// What one message costs the parts that know no socket: its commands, its content, its replies.
#include "counted.h"
#include "message/cleanup_fixture.h"
#include "message/outgoing.h"
#include "smtp/command_line.h"
#include "smtp/data_reader.h"
#include "smtp/reply_parser.h"

namespace postrider {
namespace {

std::string letter(std::size_t size) {
    std::string text =
        "From: Ann <ann@desk.example>\r\nTo: Bob <bob@corp.example>, eve@corp.example\r\n"
        "Subject: a letter\r\nDate: Sun, 22 Nov 2026 14:02:35 +0000\r\n"
        "Message-Id: <1.2.3@desk.example>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n";
    while (text.size() + 80 < size) text += std::string(78, 'x') + "\r\n";
    return text;
}

void commands_of_a_message(benchmark::State& state) {
    for (auto _ : state) {
        for (const std::string_view line :
             {"MAIL FROM:<ann@desk.example> SIZE=4096 BODY=8BITMIME",
              "RCPT TO:<bob@corp.example> NOTIFY=FAILURE,DELAY", "DATA"}) {
            const smtp::CommandLine command = smtp::split_command(line);
            if (command.verb == smtp::Verb::Mail) {
                benchmark::DoNotOptimize(smtp::parse_mail(command.argument));
            } else if (command.verb == smtp::Verb::Rcpt) {
                benchmark::DoNotOptimize(smtp::parse_rcpt(command.argument));
            }
        }
    }
}
BENCHMARK(commands_of_a_message)->Apply(counted);

void end_of_data(benchmark::State& state) {
    const std::string text = letter(static_cast<std::size_t>(state.range(0))) + ".\r\n";
    for (auto _ : state) {
        smtp::DataReader reader;
        std::string_view input = text;
        while (!input.empty() && !reader.at_end()) {
            const auto step = reader.next(input);
            benchmark::DoNotOptimize(step.content.data());
            input.remove_prefix(step.consumed);
        }
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(end_of_data)->Apply(counted)->Arg(4096)->Arg(1 << 20);

void cleanup(benchmark::State& state) {
    const std::string text = letter(static_cast<std::size_t>(state.range(0)));
    const message::Desk desk;
    CapturedLog captured;
    for (auto _ : state) {
        message::Cleanup cleanup(desk.options, Log(captured, "cleanup"),
                                 desk.smtp("bob@corp.example"));
        std::string_view rest = text;
        while (!rest.empty()) {
            cleanup.write(rest.substr(0, 65536));
            rest.remove_prefix(std::min<std::size_t>(rest.size(), 65536));
            benchmark::DoNotOptimize(cleanup.take_output());
        }
        benchmark::DoNotOptimize(cleanup.finish());
        captured.clear();
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(cleanup)->Apply(counted)->Arg(4096)->Arg(1 << 20);

void outgoing_content(benchmark::State& state) {
    const std::string text = letter(static_cast<std::size_t>(state.range(0)));
    message::OutgoingOptions how;
    how.chunked = state.range(1) == 1;
    how.line_length_max = 998;
    for (auto _ : state) {
        message::OutgoingEncoder encoder(how, message::ContentFacts(78, false));
        benchmark::DoNotOptimize(encoder.encode(text));
        benchmark::DoNotOptimize(encoder.finish());
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(outgoing_content)
    ->Apply(counted)
    ->ArgNames({"", "bdat"})
    ->Args({1 << 20, 0})
    ->Args({1 << 20, 1});

void replies_to_a_message(benchmark::State& state) {
    for (auto _ : state) {
        smtp::ReplyParser parser;
        parser.append("250 2.1.0 OK\r\n250 2.1.5 OK\r\n250 2.0.0 OK 1795356155 abc.7 - gsmtp\r\n");
        for (int i = 0; i < 3; ++i) benchmark::DoNotOptimize(parser.next());
    }
}
BENCHMARK(replies_to_a_message)->Apply(counted);

}  // namespace
}  // namespace postrider
