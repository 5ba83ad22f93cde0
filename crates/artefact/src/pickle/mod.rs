//! A reader for the part of Python's pickle format that PyTorch writes. It executes nothing: a pickle names
//! functions to be called, and this reader knows three of them by name and takes every other for an opaque value.
//!
//! Values lie in one list and refer to each other by position, so hostile nesting costs no stack.

mod machine;

use machine::Machine;

/// Position of a value.
pub type Id = usize;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// `module.name`, not called.
    Global(String),
    /// Bytes kept beside the pickle.
    Storage(Storage),
    Tensor(TensorRef),
    /// Anything else: its fields are dropped.
    Opaque,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Name of the file with the bytes.
    pub key: String,
    /// For instance `torch.FloatStorage`.
    pub kind: String,
}

/// A view of a storage, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorRef {
    pub storage: Storage,
    pub offset: i64,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
}

/// Everything in a pickle.
#[derive(Debug)]
pub struct Pickle {
    values: Vec<Value>,
    pub root: Id,
}

impl Pickle {
    pub fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// The entries of a dictionary that have text for a key.
    pub fn entries(&self, id: Id) -> impl Iterator<Item = (&str, Id)> {
        let entries = match &self.values[id] {
            Value::Dict(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().filter_map(|(key, value)| match &self.values[*key] {
            Value::Text(key) => Some((key.as_str(), *value)),
            _ => None,
        })
    }

    pub fn entry(&self, id: Id, name: &str) -> Option<Id> {
        // As in Python, the last one written wins.
        self.entries(id).filter(|(key, _)| *key == name).last().map(|(_, value)| value)
    }
}

/// Reads a pickle of protocol 2 to 5.
pub fn read(bytes: &[u8]) -> Result<Pickle, String> {
    let (values, root) = Machine::new(bytes).run()?;
    Ok(Pickle { values, root })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_nested_dictionary_is_read() {
        // pickle.dumps({"model": {"a": 1, "b": (2, 300)}, "epoch": -5}, protocol=2)
        let bytes = b"\x80\x02}q\x00(X\x05\x00\x00\x00modelq\x01}q\x02(X\x01\x00\x00\x00aq\x03K\x01X\x01\x00\x00\x00bq\x04K\x02M,\x01\x86q\x05uX\x05\x00\x00\x00epochq\x06J\xfb\xff\xff\xffu.";
        let pickle = read(bytes).unwrap();
        let model = pickle.entry(pickle.root, "model").unwrap();
        let names: Vec<_> = pickle.entries(model).map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b"]);
        let epoch = pickle.entry(pickle.root, "epoch").unwrap();
        assert_eq!(pickle.value(epoch), &Value::Int(-5));
    }

    #[test]
    fn a_call_is_never_made() {
        // os.system("true"), as an attacker would write it.
        let pickle = read(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.").unwrap();
        assert_eq!(pickle.value(pickle.root), &Value::Opaque);
    }

    #[test]
    fn truncated_pickles_and_unknown_opcodes_are_refused() {
        assert!(read(b"\x80\x02}q").unwrap_err().contains("cut short"));
        assert!(read(b"\x80\x02ifoo\nbar\n.").unwrap_err().contains("0x69"));
        assert!(read(b"\x80\x02R.").is_err());
        assert!(read(b"\x80\x02u.").is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes);
        }
    }
}
