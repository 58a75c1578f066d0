// sendmail -bs: SMTP on standard input and output.
#pragma once

#include "submit.h"

namespace postrider::apps {

/// Lets the program at `input` and `output` speak with the daemon; where there is none, speaks for
/// it and leaves the messages in maildrop. Returns the exit status. Writes to `output` nothing but
/// SMTP, and to standard error nothing at all: alpine takes both for one stream.
int stand_alone(const Doors& doors, const intake::SubmissionRequest& request, int input,
                int output);

/// The dialogue without a daemon.
int offline_dialogue(const Doors& doors, const intake::SubmissionRequest& request, int input,
                     int output);

}  // namespace postrider::apps
