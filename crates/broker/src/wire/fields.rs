//! Reading a JSON object field by field, so that an error can name the field by its path.

use serde_json::{Map, Value};

use super::error::{WireError, shown};

/// A number as it stands there; what is none, by its beginning.
fn bare(value: &Value) -> String {
    if value.is_number() { value.to_string() } else { shown(&value.to_string()) }
}

pub(super) struct Fields<'a> {
    /// Where the object lies in the message; empty for the message itself.
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(super) fn root(map: &'a Map<String, Value>) -> Fields<'a> {
        Fields { path: String::new(), map }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The full name of a field.
    pub(super) fn name(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_string() } else { format!("{}.{field}", self.path) }
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }

    pub(super) fn error(&self, field: &str, problem: impl Into<String>) -> WireError {
        WireError::field(self.name(field), problem)
    }

    /// `null` counts as absent.
    fn given(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    fn required(&self, field: &str) -> Result<&'a Value, WireError> {
        self.given(field).ok_or_else(|| self.error(field, "is missing"))
    }

    fn mistyped(&self, field: &str, wanted: &str, found: &Value) -> WireError {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.error(field, format!("must be {wanted}, not {found}"))
    }

    pub(super) fn text(&self, field: &str) -> Result<&'a str, WireError> {
        let value = self.required(field)?;
        value.as_str().ok_or_else(|| self.mistyped(field, "text", value))
    }

    pub(super) fn text_if_given(&self, field: &str) -> Result<Option<&'a str>, WireError> {
        let Some(value) = self.given(field) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.mistyped(field, "text", value))
    }

    pub(super) fn object(&self, field: &str) -> Result<Fields<'a>, WireError> {
        match self.required(field)? {
            Value::Object(map) => Ok(Fields { path: self.name(field), map }),
            other => Err(self.mistyped(field, "an object", other)),
        }
    }

    pub(super) fn map_if_given(&self, field: &str) -> Result<Option<&'a Map<String, Value>>, WireError> {
        match self.given(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(self.mistyped(field, "an object", other)),
        }
    }

    /// The objects of a list, with an error in the place of each item that is none.
    pub(super) fn objects(&self, field: &str, most: usize) -> Result<Vec<Result<Fields<'a>, WireError>>, WireError> {
        let value = self.required(field)?;
        let Value::Array(items) = value else { return Err(self.mistyped(field, "a list", value)) };
        if items.len() > most {
            return Err(self.error(field, format!("holds {} records; at most {most} are read", items.len())));
        }
        let name = self.name(field);
        let item = |(index, item): (usize, &'a Value)| match item {
            Value::Object(map) => Ok(Fields { path: format!("{name}[{index}]"), map }),
            _ => Err(WireError::field(format!("{name}[{index}]"), "must be an object")),
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// Whether a number is given and is 0, also as text.
    pub(super) fn is_zero(&self, field: &str) -> bool {
        match self.given(field) {
            Some(Value::Number(number)) => number.as_f64() == Some(0.0),
            Some(Value::String(text)) => text.trim() == "0",
            _ => false,
        }
    }

    pub(super) fn count_if_given(&self, field: &str) -> Result<Option<u32>, WireError> {
        let Some(value) = self.given(field) else { return Ok(None) };
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        count
            .map(Some)
            .ok_or_else(|| self.error(field, format!("must be a whole number from 0 up, not {}", bare(value))))
    }
}
