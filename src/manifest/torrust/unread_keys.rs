//! A mapping of the predecessor's file. Every key that is not read is noted as not carried over.

use serde_json::{Map, Value, json};
use std::cell::RefCell;

/// A mapping of the file whose keys are taken one by one. Keys that remain were not carried over.
pub(super) struct Section<'a> {
    pub path: String,
    pub map: Map<String, Value>,
    pub notes: &'a RefCell<Vec<String>>,
}

impl Section<'_> {
    pub fn child(&self, key: &str, value: &Value) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        let map = value.as_object().cloned().unwrap_or_default();
        Self { path, map, notes: self.notes }
    }

    pub fn holds(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(Value::is_object)
    }

    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key).filter(|value| !value.is_null())
    }

    pub fn section(&mut self, key: &str) -> Self {
        let value = self.take(key).unwrap_or_default();
        self.child(key, &value)
    }

    pub fn text(&mut self, key: &str) -> Option<String> {
        self.take(key)?.as_str().map(str::to_owned)
    }

    pub fn number(&mut self, key: &str) -> Option<u64> {
        self.take(key)?.as_u64()
    }

    pub fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.map.remove(*key);
        }
    }

    /// Returns the new source of a secret and notes where the value is. Does not copy the value.
    pub fn secret(&mut self, key: &str, variable: &str) -> Value {
        let there = self.take(key).is_some();
        let place = if there {
            format!("{}.{key} in the old file", self.path)
        } else {
            "in the old .env on the host".to_owned()
        };
        self.note(&format!("{variable}: set this variable in the environment of deployer; its value is {place}"));
        json!({ "from_env": variable })
    }

    pub fn note(&self, text: &str) {
        self.notes.borrow_mut().push(text.to_owned());
    }

    /// Notes every key that was not taken.
    pub fn finish(self) {
        for key in self.map.iter().filter(|(_, value)| !value.is_null()).map(|(key, _)| key) {
            let dot = if self.path.is_empty() { "" } else { "." };
            self.note(&format!("{}{dot}{key}: not carried over", self.path));
        }
    }
}
