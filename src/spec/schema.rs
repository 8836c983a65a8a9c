//! JSON schemas of both file kinds, for editors (`windrose check --schema`).
//!
//! They are what the readers ask for when there is nothing to read ([`crate::spec::reader`]), so they
//! hold every key that is read, and no other.

use serde_json::{Value, json};

use crate::spec::{machine, steering};

/// The schema of a steering file, `zones/*.toml`.
pub fn steering() -> Value {
    titled("Windrose: a steering file", steering::schema())
}

/// The schema of `config/windrose.toml`.
pub fn machine() -> Value {
    titled("Windrose: this machine", machine::schema())
}

fn titled(title: &str, mut schema: Value) -> Value {
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(title);
    schema
}
