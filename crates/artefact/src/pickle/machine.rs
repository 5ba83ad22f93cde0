//! The stack machine that a pickle is written for, without the part that calls functions.

use std::collections::HashMap;

use crate::pickle::{Id, Storage, TensorRef, Value};

/// Reads opcodes one after the other.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Machine<'a> {
        Machine { bytes, at: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }
    }

    /// Every value of the pickle, and which of them is the whole.
    pub(crate) fn run(mut self) -> Result<(Vec<Value>, Id), String> {
        loop {
            let at = self.at;
            let code = self.byte()?;
            if code == b'.' {
                let root = self.pop()?;
                return Ok((self.values, root));
            }
            self.step(code).map_err(|error| format!("{error} (byte {at} of the pickle)"))?;
        }
    }

    /// One opcode; the letters are those of Python's `pickletools`.
    #[expect(clippy::too_many_lines, reason = "a table: an arm for each opcode")]
    fn step(&mut self, code: u8) -> Result<(), String> {
        match code {
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => {
                let value = self.byte()?.into();
                self.push(Value::Int(value));
            }
            b'M' => {
                let value = self.unsigned(2)? as i64;
                self.push(Value::Int(value));
            }
            b'J' => {
                let value = self.unsigned(4)? as u32;
                self.push(Value::Int(i64::from(value as i32)));
            }
            0x8a => self.long()?,
            b'G' => {
                self.take(8)?;
                self.push(Value::Opaque);
            }
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            b'B' => self.skip_bytes(4)?,
            b'C' => self.skip_bytes(1)?,
            0x8e => self.skip_bytes(8)?,
            b'}' => self.push(Value::Dict(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            0x8f => self.push(Value::Opaque),
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items));
            }
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let items = self.top(count)?;
                self.push(Value::Tuple(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            // Into a set: its members are not kept.
            0x90 => drop(self.since_mark()?),
            b's' => {
                let items = self.top(2)?;
                self.set(&items)?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            b'q' => {
                let slot = self.byte()?.into();
                self.remember(slot)?;
            }
            b'r' => {
                let slot = self.unsigned(4)? as u32;
                self.remember(slot)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'h' => {
                let slot = self.byte()?.into();
                self.recall(slot)?;
            }
            b'j' => {
                let slot = self.unsigned(4)? as u32;
                self.recall(slot)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(format!("{module}.{name}")));
            }
            0x93 => {
                let parts = self.top(2)?;
                let name = match (&self.values[parts[0]], &self.values[parts[1]]) {
                    (Value::Text(module), Value::Text(name)) => format!("{module}.{name}"),
                    _ => return Err("a name that is no text".into()),
                };
                self.push(Value::Global(name));
            }
            b'Q' => self.storage()?,
            b'R' => self.reduce()?,
            // A new object of a class with arguments, with and without keywords.
            0x81 => {
                self.top(2)?;
                self.push(Value::Opaque);
            }
            0x92 => {
                self.top(3)?;
                self.push(Value::Opaque);
            }
            // Attributes for the object below: nothing here has any that matter.
            b'b' => drop(self.pop()?),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => {
                let top = *self.stack.last().ok_or("an empty stack")?;
                self.stack.push(top);
            }
            other => return Err(format!("opcode 0x{other:02x} is none that PyTorch writes")),
        }
        Ok(())
    }

    /// A call: only tensors and ordered dictionaries come of it.
    fn reduce(&mut self) -> Result<(), String> {
        let parts = self.top(2)?;
        let arguments = match &self.values[parts[1]] {
            Value::Tuple(arguments) => arguments.clone(),
            _ => return Err("a call without a tuple of arguments".into()),
        };
        let Value::Global(name) = &self.values[parts[0]] else {
            self.push(Value::Opaque);
            return Ok(());
        };
        match (name.as_str(), arguments.as_slice()) {
            ("collections.OrderedDict", []) => self.push(Value::Dict(Vec::new())),
            ("torch._utils._rebuild_tensor_v2", [storage, offset, shape, strides, ..]) => {
                let Value::Storage(storage) = &self.values[*storage] else {
                    return Err("a tensor without a storage".into());
                };
                let tensor = TensorRef {
                    storage: storage.clone(),
                    offset: self.int(*offset)?,
                    shape: self.ints(*shape)?,
                    strides: self.ints(*strides)?,
                };
                self.push(Value::Tensor(tensor));
            }
            // A parameter is its tensor.
            ("torch._utils._rebuild_parameter", [tensor, ..]) => self.stack.push(*tensor),
            _ => self.push(Value::Opaque),
        }
        Ok(())
    }

    /// A persistent id: ("storage", torch.FloatStorage, key, device, elements).
    fn storage(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let value = match &self.values[id] {
            Value::Tuple(parts) if parts.len() >= 3 => {
                match (&self.values[parts[0]], &self.values[parts[1]], &self.values[parts[2]]) {
                    (Value::Text(word), Value::Global(kind), Value::Text(key)) if word == "storage" => {
                        Value::Storage(Storage { key: key.clone(), kind: kind.clone() })
                    }
                    _ => Value::Opaque,
                }
            }
            _ => Value::Opaque,
        };
        self.push(value);
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let list = *self.stack.last().ok_or("an empty stack")?;
        if let Value::List(members) = &mut self.values[list] {
            members.extend(items);
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        let dict = *self.stack.last().ok_or("an empty stack")?;
        if let Value::Dict(entries) = &mut self.values[dict] {
            entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        }
        Ok(())
    }

    fn remember(&mut self, slot: u32) -> Result<(), String> {
        let top = *self.stack.last().ok_or("an empty stack")?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<(), String> {
        let id = *self.memo.get(&slot).ok_or_else(|| format!("memo {slot} was never written"))?;
        self.stack.push(id);
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, String> {
        if self.marks.last().is_some_and(|mark| *mark >= self.stack.len()) {
            return Err("a mark where a value should be".into());
        }
        self.stack.pop().ok_or_else(|| "an empty stack".to_string())
    }

    fn top(&mut self, count: usize) -> Result<Vec<Id>, String> {
        let start = self.stack.len().checked_sub(count).ok_or("an empty stack")?;
        Ok(self.stack.split_off(start))
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("no mark on the stack")?;
        if mark > self.stack.len() {
            return Err("a mark above the stack".into());
        }
        Ok(self.stack.split_off(mark))
    }

    fn int(&self, id: Id) -> Result<i64, String> {
        match &self.values[id] {
            Value::Int(value) => Ok(*value),
            other => Err(format!("{other:?} where a number should be")),
        }
    }

    fn ints(&self, id: Id) -> Result<Vec<i64>, String> {
        match &self.values[id] {
            Value::Tuple(items) => items.iter().map(|item| self.int(*item)).collect(),
            other => Err(format!("{other:?} where a shape should be")),
        }
    }

    fn long(&mut self) -> Result<(), String> {
        let length = usize::from(self.byte()?);
        let bytes = self.take(length)?;
        // Longer ones are random states and the like.
        let value = if length <= 8 {
            let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
            let mut whole = [if negative { 0xff } else { 0 }; 8];
            whole[..length].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(whole))
        } else {
            Value::Opaque
        };
        self.push(value);
        Ok(())
    }

    fn text(&mut self, width: usize) -> Result<(), String> {
        let length = self.unsigned(width)?;
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| "text that is no UTF-8")?.to_string();
        self.push(Value::Text(text));
        Ok(())
    }

    fn skip_bytes(&mut self, width: usize) -> Result<(), String> {
        let length = self.unsigned(width)?;
        self.take(length)?;
        self.push(Value::Opaque);
        Ok(())
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or("a line without an end")?;
        let line = std::str::from_utf8(&rest[..length]).map_err(|_| "text that is no UTF-8")?.to_string();
        self.at += length + 1;
        Ok(line)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn unsigned(&mut self, width: usize) -> Result<usize, String> {
        let mut whole = [0; 8];
        whole[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u64::from_le_bytes(whole)).map_err(|_| "a length beyond memory".to_string())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len()).ok_or("the pickle is cut short")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }
}
