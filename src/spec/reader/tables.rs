//! Shapes that are tables: with known keys, or with keys of the operator's choice.

use serde_json::{Value as Json, json};
use toml::de::{DeTable, DeValue};

use super::{Asks, Item, Problem, Reporter, Shape, Table, Written, describe, in_written_order};
use crate::spec::Spanned;
use crate::spec::steering::Named;

/// A table whose keys are asked for.
#[derive(Debug)]
pub struct TableOf<T>(pub Asks<T>);

impl<T> Shape for TableOf<T> {
    type Value = T;

    fn expects(&self) -> String {
        "a table".into()
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<T> {
        let entries = entries(item, self, reporter)?;
        Some(Table::read(entries, item.span(), reporter, self.0))
    }

    fn schema(&self) -> Json {
        describe(self.0)
    }
}

/// Tables with names of the operator's choice, as `[regions.eu]`, in the order in which they were written.
#[derive(Debug)]
pub struct NamedTables<T> {
    /// What a name looks like.
    pub name: Written<String>,
    /// The keys of each; `None` leaves it out.
    pub asks: Asks<Option<T>>,
}

impl<T> Shape for NamedTables<T> {
    type Value = Vec<Named<T>>;

    fn expects(&self) -> String {
        "a table of tables".into()
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<Self::Value> {
        let entries = in_written_order(entries(item, self, reporter)?);
        let named = entries.into_iter().filter_map(|(key, item)| {
            let name = Spanned { value: key.get_ref().to_string(), span: key.span() };
            self.name.accept(&name.value, name.span.clone(), reporter);
            let value = TableOf(self.asks).read(item, reporter)??;
            Some(Named { name, value })
        });
        Some(named.collect())
    }

    fn schema(&self) -> Json {
        let (names, tables) = (self.name.schema(), describe(self.asks));
        json!({ "type": "object", "propertyNames": names, "additionalProperties": tables })
    }
}

/// Texts with names of the operator's choice, as headers, in the order in which they were written.
#[derive(Debug)]
pub struct Texts {
    /// What a name looks like.
    pub name: Written<String>,
    /// What a text looks like.
    pub text: Written<String>,
}

impl Shape for Texts {
    type Value = Vec<(Spanned<String>, Spanned<String>)>;

    fn expects(&self) -> String {
        "a table of strings".into()
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<Self::Value> {
        let entries = in_written_order(entries(item, self, reporter)?);
        let texts = entries.into_iter().filter_map(|(key, item)| {
            let name = self.name.accept(key.get_ref(), key.span(), reporter);
            let text = self.text.read(item, reporter)?;
            Some((Spanned { value: name?, span: key.span() }, Spanned { value: text, span: item.span() }))
        });
        Some(texts.collect())
    }

    fn schema(&self) -> Json {
        let (names, texts) = (self.name.schema(), self.text.schema());
        json!({ "type": "object", "propertyNames": names, "additionalProperties": texts })
    }
}

fn entries<'t, S: Shape>(item: &'t Item<'t>, shape: &S, reporter: &mut Reporter) -> Option<&'t DeTable<'t>> {
    let DeValue::Table(entries) = item.get_ref() else {
        reporter.error(item.span(), Problem::wrong_type(&shape.expects(), item));
        return None;
    };
    Some(entries)
}
