//! What an endpoint says of itself in a header of its reply, or in a beat, in the words of HAProxy's agent-check.
//!
//! | word | means |
//! |---|---|
//! | `up` `ready` | all of what it gets |
//! | `75%` | so much of its weight |
//! | `drain` `0%` | nothing new |
//! | `down` `fail` `stopped` `maint` | nothing: it fails; a reason may follow: `down#disk full` |
//!
//! Several words may stand together (`ready 75%`): the one that leaves least counts. Any other word is passed over.

use hyper::header::HeaderValue;

use crate::health::Agent;

/// The word in the values of the header; without one it is [`Agent::Up`].
pub(super) fn said<'v>(values: impl IntoIterator<Item = &'v HeaderValue>) -> Agent {
    let texts = values.into_iter().filter_map(|value| value.to_str().ok());
    texts.filter_map(said_in).min_by_key(|word| left(*word)).unwrap_or(Agent::Up)
}

/// The word in a text, if there is one.
pub fn said_in(text: &str) -> Option<Agent> {
    let before_the_reason = text.split('#').next()?;
    let words = before_the_reason.split(|c: char| c.is_ascii_whitespace() || c == ',');
    words.filter_map(word).min_by_key(|word| left(*word))
}

fn word(text: &str) -> Option<Agent> {
    if let Some(percent) = text.strip_suffix('%') {
        return match percent.parse::<u32>().ok()? {
            0 => Some(Agent::Drain),
            share @ 1..100 => Some(Agent::Share(share as u8)),
            _ => Some(Agent::Up),
        };
    }
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["up", "ready"]) {
        Some(Agent::Up)
    } else if is(&["drain"]) {
        Some(Agent::Drain)
    } else if is(&["down", "fail", "stopped", "maint"]) {
        Some(Agent::Down)
    } else {
        None
    }
}

/// How much a word leaves, for an order among words.
fn left(word: Agent) -> u8 {
    match word {
        Agent::Down => 0,
        Agent::Drain => 1,
        Agent::Share(percent) => percent.saturating_add(1),
        Agent::Up => u8::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(values: &[&str]) -> Agent {
        let values: Vec<HeaderValue> =
            values.iter().map(|text| HeaderValue::from_bytes(text.as_bytes()).unwrap()).collect();
        said(&values)
    }

    #[test]
    fn each_word_means_what_it_means_to_haproxy() {
        for (text, word) in [
            ("up", Agent::Up),
            ("Ready", Agent::Up),
            ("drain", Agent::Drain),
            ("DOWN", Agent::Down),
            ("fail", Agent::Down),
            ("stopped", Agent::Down),
            ("maint", Agent::Down),
            ("75%", Agent::Share(75)),
            ("1%", Agent::Share(1)),
            ("0%", Agent::Drain),
            ("100%", Agent::Up),
            ("250%", Agent::Up),
            ("down#disk full, 50%", Agent::Down),
        ] {
            assert_eq!(heard(&[text]), word, "{text}");
        }
    }

    #[test]
    fn of_several_words_the_one_that_leaves_least_counts() {
        assert_eq!(heard(&["ready 75%"]), Agent::Share(75));
        assert_eq!(heard(&["up, drain\t50%"]), Agent::Drain);
        assert_eq!(heard(&["80%", "20%"]), Agent::Share(20));
    }

    #[test]
    fn what_is_no_word_is_passed_over() {
        for text in ["", "busy", "-5%", "5 %", "%", "99999999999999%", "\u{fc}p", "up!", "# down"] {
            assert_eq!(heard(&[text]), Agent::Up, "{text}");
        }
        assert_eq!(heard(&[]), Agent::Up);
        assert_eq!(heard(&["\u{fc}", "busy 50%"]), Agent::Share(50));
    }
}
