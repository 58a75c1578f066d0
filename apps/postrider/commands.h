// The commands that the postrider program answers to, each under its own name.
#pragma once

namespace postrider::apps {

int postconf(int argc, char** argv);
int postmap(int argc, char** argv);
int postalias(int argc, char** argv);
int newaliases(int argc, char** argv);
int postqueue(int argc, char** argv);
int postsuper(int argc, char** argv);
int postcat(int argc, char** argv);
int postlog(int argc, char** argv);
/// postrider itself: start, stop, reload, status, flush, check.
int operate(int argc, char** argv);

}  // namespace postrider::apps
