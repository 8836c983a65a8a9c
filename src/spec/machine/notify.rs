//! `[notify]`: who is told over HTTP of what happens at this server.
//!
//! ```text
//!   url         = "https://..."          required: the table is there to say it
//!   token_file  = "notify.token"         Authorization: Bearer, for whoever asks for one
//!   format      = "json" | "text"        for programs, or for a chat
//!   events      = ["turned", "alarm"]    which; if absent, all
//! ```

use super::fleet::is_host_and_port;
use super::{plain, value};
use crate::spec::reader::{ListOf, Problem, TEXT, Table, Word, Written, key};

/// `[notify]`. Paths are as written: relative to the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Notify {
    /// `url`: where to post.
    pub url: String,
    /// `token_file`: a file whose first line is sent as `Authorization: Bearer`.
    pub token_file: Option<String>,
    /// `format`: what is posted.
    pub format: NotifyFormat,
    /// `events`: which; `None`: all.
    pub events: Option<Vec<EventChoice>>,
}

/// What is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyFormat {
    /// `json`: events as `windrose watch --format json` prints them.
    Json,
    /// `text`: words for people, as incoming webhooks of chats take them.
    Text,
}

/// What is chosen by one word of `events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventChoice {
    /// Events of this kind.
    Kind(EventKind),
    /// Whatever needs a person, of any kind.
    Alarms,
}

/// What kind of thing happened at a server, as watchers and whoever is notified hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A verdict turned.
    Turned,
    /// An endpoint turns again and again: it is held down.
    Flaps,
    /// The governor keeps automation from taking endpoints out.
    HeldBack,
    /// The governor holds nobody back any more.
    GovernorRests,
    /// The votes of a probe are stale.
    ProbeSilent,
    /// A report of a probe does not count.
    ReportRefused,
    /// A probe sees another world than the rest.
    ProbeIsolated,
    /// An isolated probe agrees with the rest again.
    ProbeAgrees,
    /// An operator's order is in force, or its end.
    Controlled,
    /// An operator's order names nobody.
    NoSuch,
    /// Recovered members of a pool are used again.
    FailedBack,
    /// Other zones are served.
    Reloaded,
    /// The zones that are there now are wrong: those before are served.
    ReloadRefused,
    /// Nothing happened: somebody wants to see whether it arrives.
    Test,
}

impl EventKind {
    /// The word for it: in `events`, and as `event` in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            EventKind::Turned => "turned",
            EventKind::Flaps => "flaps",
            EventKind::HeldBack => "held-back",
            EventKind::GovernorRests => "governor-rests",
            EventKind::ProbeSilent => "probe-silent",
            EventKind::ReportRefused => "report-refused",
            EventKind::ProbeIsolated => "probe-isolated",
            EventKind::ProbeAgrees => "probe-agrees",
            EventKind::Controlled => "controlled",
            EventKind::NoSuch => "no-such",
            EventKind::FailedBack => "failed-back",
            EventKind::Reloaded => "reloaded",
            EventKind::ReloadRefused => "reload-refused",
            EventKind::Test => "test",
        }
    }

    /// Whether it needs a person: what the machine does meanwhile is only the lesser evil.
    pub const fn is_alarm(self) -> bool {
        match self {
            EventKind::HeldBack | EventKind::ProbeIsolated | EventKind::ReloadRefused => true,
            EventKind::Turned
            | EventKind::Flaps
            | EventKind::GovernorRests
            | EventKind::ProbeSilent
            | EventKind::ReportRefused
            | EventKind::ProbeAgrees
            | EventKind::Controlled
            | EventKind::NoSuch
            | EventKind::FailedBack
            | EventKind::Reloaded
            | EventKind::Test => false,
        }
    }

    const fn choice(self) -> (&'static str, EventChoice) {
        (self.word(), EventChoice::Kind(self))
    }
}

impl Notify {
    /// Whether events of this kind are told.
    pub fn wants(&self, kind: EventKind) -> bool {
        self.events.as_ref().is_none_or(|choices| {
            choices.iter().any(|choice| match choice {
                EventChoice::Kind(chosen) => *chosen == kind,
                EventChoice::Alarms => kind.is_alarm(),
            })
        })
    }
}

/// `None`: it does not say where to post.
pub(super) fn notify(table: &mut Table<'_>) -> Option<Notify> {
    let url = key("url", "Where to post what happens.");
    let url = value(table.required(url, URL));
    let token = key("token_file", "A file whose first line is sent as `Authorization: Bearer`.");
    let token_file = value(table.optional(token, TEXT));
    let format = key("format", "What is posted: events for programs, or words for a chat.");
    let format = value(table.optional(format.or("json"), FORMAT)).unwrap_or(NotifyFormat::Json);
    let events = key("events", "Which events are posted; if absent, all.");
    let events = table.optional(events, ListOf::some(EVENTS)).map(plain);
    Some(Notify { url: url?, token_file, format, events })
}

const FORMAT: Word<NotifyFormat> =
    Word { what: "format", words: &[("json", NotifyFormat::Json), ("text", NotifyFormat::Text)] };

/// All but the test, which nobody could want to be without.
const EVENTS: Word<EventChoice> = Word {
    what: "event",
    words: &[
        EventKind::Turned.choice(),
        ("alarm", EventChoice::Alarms),
        EventKind::Flaps.choice(),
        EventKind::HeldBack.choice(),
        EventKind::GovernorRests.choice(),
        EventKind::ProbeSilent.choice(),
        EventKind::ReportRefused.choice(),
        EventKind::ProbeIsolated.choice(),
        EventKind::ProbeAgrees.choice(),
        EventKind::Controlled.choice(),
        EventKind::NoSuch.choice(),
        EventKind::FailedBack.choice(),
        EventKind::Reloaded.choice(),
        EventKind::ReloadRefused.choice(),
    ],
};

/// Where to post. Not repeated when it is wrong: whoever knows such an address can post there.
const URL: Written<String> = Written {
    expects: "where to post, as \"https://hooks.example.net/windrose\"",
    pattern: r"^https?://[^@/\s]+(/\S*)?$",
    parse: |text| {
        let bad = |message: &str, hint: &str| Err(Problem::new("bad-url", message).hint(hint));
        let schemeless = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let Some(rest) = schemeless else {
            return bad("this is no address to post to", "it begins with https://, or with http://");
        };
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return bad("there is white space in this address", "write %20 for a space");
        }
        let place = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        if place.contains('@') {
            return bad(
                "an address says nothing of users and passwords",
                "say `token_file`: a file can be kept from readers",
            );
        }
        match is_host_and_port(place) {
            true => Ok(text.to_owned()),
            false => bad(
                "this address has no host",
                "after the scheme come a host and maybe a port, as hooks.example.net or [2001:db8::1]:8080",
            ),
        }
    },
};

#[cfg(test)]
mod tests {
    use super::super::{Machine, parse};
    use super::*;
    use crate::spec::{Diagnostic, Source};

    fn read(keys: &str) -> (Option<Notify>, Vec<&'static str>) {
        let mut diagnostics: Vec<Diagnostic> = Vec::new();
        let machine: Machine = parse(&Source::new("config/windrose.toml", keys), &mut diagnostics);
        (machine.notify, diagnostics.iter().map(|diagnostic| diagnostic.code).collect())
    }

    #[test]
    fn nobody_is_told_unless_a_table_says_whom() {
        assert_eq!(read(""), (None, vec![]));
        assert_eq!(read("[notify]\n"), (None, vec!["missing-key"]));
        let (notify, codes) = read("[notify]\nurl = \"https://hooks.example/x\"\n");
        let notify = notify.expect("it says where");
        assert_eq!((notify.token_file, notify.format, codes), (None, NotifyFormat::Json, vec![]));
    }

    #[test]
    fn an_address_is_a_scheme_a_host_and_what_comes_after() {
        for good in [
            "http://a",
            "https://a.example/services/T0/B0?x=1",
            "http://192.0.2.1:8080/",
            "https://[2001:db8::1]:1/x",
            "https://a?b@c",
        ] {
            assert!((URL.parse)(good).is_ok(), "{good}");
        }
        for bad in
            ["a", "ftp://a", "https://", "https:///x", "https://a:0/", "https://u:p@a/", "https://a/b c"]
        {
            assert!((URL.parse)(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_that_is_wrong_is_not_repeated() {
        for secret in ["https://me:secret@a/", "https://a/secret x", "htps://a/secret"] {
            let refused = (URL.parse)(secret).expect_err("it is wrong");
            assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
        }
    }

    #[test]
    fn what_is_chosen_is_told_and_an_alarm_is_chosen_by_that_word_too() {
        let chosen = |keys: &str| read(&format!("[notify]\nurl = \"http://a\"\n{keys}")).0.expect("right");
        assert!(chosen("").wants(EventKind::ProbeSilent));
        let some = chosen("events = [\"turned\", \"alarm\"]");
        assert!(some.wants(EventKind::Turned) && some.wants(EventKind::HeldBack));
        assert!(!some.wants(EventKind::ProbeSilent));
        assert_eq!(read("[notify]\nurl = \"http://a\"\nevents = [\"turnd\"]").1, ["unknown-word"]);
        assert_eq!(read("[notify]\nurl = \"http://a\"\nevents = []").1, ["empty"]);
    }
}
