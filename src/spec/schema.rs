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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Diagnostic, Source};

    /// A value that no key takes.
    const WRONG: &str = "1979-05-27";

    /// Inline values in which one thing after the other that `schema` knows is wrong.
    fn wrong_values(schema: &Value) -> Vec<String> {
        let mut values = vec![WRONG.to_owned()];
        if let Some(properties) = schema["properties"].as_object() {
            for (key, property) in properties {
                values.extend(wrong_values(property).iter().map(|value| format!("{{ {key} = {value} }}")));
            }
        }
        if schema["additionalProperties"].is_object() {
            let named = wrong_values(&schema["additionalProperties"]);
            values.extend(named.iter().map(|value| format!("{{ x = {value} }}")));
        }
        if schema["items"].is_object() {
            values.extend(wrong_values(&schema["items"]).iter().map(|value| format!("[{value}]")));
        }
        for choice in schema["anyOf"].as_array().into_iter().flatten() {
            values.extend(wrong_values(choice).into_iter().filter(|value| value != WRONG));
        }
        values
    }

    /// Whether every key of `schema` is read: a wrong value there is found, and nothing else is unknown.
    fn assert_all_keys_are_read(schema: &Value, read: impl Fn(&Source) -> Vec<Diagnostic>) {
        let properties = schema["properties"].as_object().expect("a table");
        for (key, property) in properties {
            for value in wrong_values(property) {
                let source = Source::new("a.toml", &format!("{key} = {value}\n"));
                let found = read(&source);
                let at_it = found.iter().filter(|diagnostic| {
                    let place = diagnostic.place.as_ref().expect("a place");
                    diagnostic.code == "wrong-type"
                        && place.text.split_at(place.column - 1).1.starts_with(WRONG)
                });
                assert_eq!(at_it.count(), 1, "{}", source.text);
                assert!(found.iter().all(|diagnostic| diagnostic.code != "unknown-key"), "{}", source.text);
            }
        }
    }

    #[test]
    fn every_key_of_the_schemas_is_read() {
        assert_all_keys_are_read(&steering(), |source| {
            let mut found = Vec::new();
            crate::spec::steering::parse(source, &|_, _| Err("there is none".into()), &mut found);
            found
        });
        assert_all_keys_are_read(&machine(), |source| {
            let mut found = Vec::new();
            crate::spec::machine::parse(source, &mut found);
            found
        });
    }

    #[test]
    fn every_table_is_closed_and_every_key_described() {
        fn walk(schema: &Value, path: &str) {
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                assert!(
                    property["description"].as_str().is_some_and(|text| text.ends_with('.')),
                    "{path}.{key}"
                );
                assert_eq!(schema["additionalProperties"], false, "{path}");
                walk(property, &format!("{path}.{key}"));
            }
            for below in ["additionalProperties", "items"] {
                if schema[below].is_object() {
                    walk(&schema[below], path);
                }
            }
            for choice in schema["anyOf"].as_array().into_iter().flatten() {
                walk(choice, path);
            }
        }
        walk(&steering(), "");
        walk(&machine(), "");
    }

    #[test]
    fn the_schema_knows_what_an_operator_needs() {
        let schema = steering();
        let pool = &schema["properties"]["pools"]["additionalProperties"];
        assert_eq!(pool["required"], json!(["policy", "members"]));
        assert_eq!(
            pool["properties"]["policy"]["enum"],
            json!(["failover", "weighted", "nearest", "latency", "geo", "all"])
        );
        let monitor = &schema["properties"]["monitors"]["additionalProperties"]["properties"];
        assert_eq!(monitor["interval"]["default"], "5s");
        assert_eq!(monitor["port"]["maximum"], 65535);
    }
}
