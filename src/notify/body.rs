//! What a request says.
//!
//! ```text
//!   json   {"server":"ns1","id":"...","events":[{"at":...,"text":"...","data":{...}}],"missed":0}
//!   text   {"text":"ns1:\n14:05:09 eu: fra Up -> Down (...)\nand 3 more"}
//! ```

use std::fmt::Write;

use serde_json::{Value, json};

use super::waiting::Batch;
use super::{Config, Format};

/// Who says it, and how.
#[derive(Debug)]
pub(super) struct Sender {
    server: String,
    instance: u64,
    format: Format,
    /// Of the last request.
    number: u64,
}

impl Sender {
    pub fn new(config: &Config) -> Self {
        let Config { server, instance, format, .. } = config;
        Self { server: server.clone(), instance: *instance, format: *format, number: 0 }
    }

    /// The next request. Posted again it stays the same, and its `id` tells that it is.
    pub fn body(&mut self, batch: &Batch) -> Vec<u8> {
        self.number += 1;
        let body = match self.format {
            Format::Json => json!({
                "server": self.server,
                "id": format!("{:016x}-{}", self.instance, self.number),
                "events": batch.notices.iter().map(|notice| &notice.event).collect::<Vec<&Value>>(),
                "missed": batch.missed,
            }),
            Format::Text => json!({ "text": self.words(batch) }),
        };
        body.to_string().into_bytes()
    }

    fn words(&self, batch: &Batch) -> String {
        let mut words = match batch.notices.as_slice() {
            [_] => format!("{}: ", self.server),
            _ => format!("{}:\n", self.server),
        };
        for notice in batch.notices.iter().take(LINES_MAX) {
            let _ = writeln!(words, "{} {}", notice.at.time_of_day(), notice.text);
        }
        let more = batch.missed + batch.notices.len().saturating_sub(LINES_MAX) as u64;
        if more > 0 {
            let _ = writeln!(words, "and {more} more");
        }
        words.truncate(words.trim_end().len());
        // What chats read as a link or as a call for everybody: a name is neither.
        words.replace('<', "\u{2039}")
    }
}

/// Of more lines people are told only how many there are: chats cut long messages off.
const LINES_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::super::tests::{config, notice};
    use super::*;

    fn said(format: Format, batch: &Batch) -> Value {
        let mut sender = Sender::new(&Config { format, ..config("http://a") });
        serde_json::from_slice(&sender.body(batch)).expect("it is JSON")
    }

    #[test]
    fn programs_get_the_events_whole() {
        let batch = Batch { notices: vec![notice("one"), notice("two")], missed: 7 };
        let said = said(Format::Json, &batch);
        assert_eq!(said["server"], "ns1");
        assert_eq!(said["events"][1], notice("two").event);
        assert_eq!((&said["missed"], said["id"].as_str()), (&json!(7), Some("00000000000000ff-1")));
    }

    #[test]
    fn people_get_a_line_for_each_and_how_many_more_there_are() {
        let one = Batch { notices: vec![notice("eu: fra Up -> Down")], missed: 0 };
        assert_eq!(said(Format::Text, &one), json!({ "text": "ns1: 22:13:20 eu: fra Up -> Down" }));
        let notices = (0..LINES_MAX + 2).map(|number| notice(&number.to_string())).collect();
        let text = said(Format::Text, &Batch { notices, missed: 3 })["text"].to_string();
        assert!(text.starts_with("\"ns1:\\n22:13:20 0\\n") && text.ends_with("\\nand 5 more\""), "{text}");
    }

    #[test]
    fn no_name_calls_everybody_in_a_chat() {
        let batch = Batch { notices: vec![notice("probe <!channel> is silent")], missed: 0 };
        assert!(!said(Format::Text, &batch).to_string().contains('<'));
    }
}
