//! What images look like, kept beside their cached bytes: a later run need not decode an image to know.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use augment::Likeness;

/// Likenesses by the sha256 of the images' bytes.
pub struct Likenesses {
    known: Mutex<Known>,
}

struct Known {
    likenesses: HashMap<String, Likeness>,
    /// `None` for those that are not kept.
    file: Option<File>,
}

impl Likenesses {
    /// A line for each image: its digest and its likeness. The number is another one whenever the hash, or what of an image it
    /// sees, is.
    pub const FILE: &'static str = "likenesses-1.txt";

    /// Those of this run, and no longer.
    pub fn in_memory() -> Likenesses {
        Likenesses::new(HashMap::new(), None)
    }

    /// Those that lie in a folder, of these images. New ones are added to them; those of other images are dropped.
    pub fn open(folder: &Path, wanted: &HashSet<&str>) -> io::Result<Likenesses> {
        let likenesses = reduce(folder, |sha256| wanted.contains(sha256))?;
        let file = OpenOptions::new().append(true).create(true).open(folder.join(Likenesses::FILE))?;
        Ok(Likenesses::new(likenesses, Some(file)))
    }

    /// Drops those of these images from a folder.
    pub fn delete(folder: &Path, contents: &HashSet<&str>) -> io::Result<()> {
        reduce(folder, |sha256| !contents.contains(sha256)).map(drop)
    }

    pub fn get(&self, sha256: &str) -> Option<Likeness> {
        self.known().likenesses.get(sha256).cloned()
    }

    pub fn insert(&self, sha256: &str, likeness: &Likeness) {
        let mut known = self.known();
        if known.likenesses.insert(sha256.into(), likeness.clone()).is_some() {
            return;
        }
        let Some(file) = &mut known.file else { return };
        if let Err(error) = file.write_all(line(sha256, likeness).as_bytes()) {
            tracing::warn!(%error, "likenesses can't be kept: the next run decodes these images again to know them");
            known.file = None;
        }
    }

    fn new(likenesses: HashMap<String, Likeness>, file: Option<File>) -> Likenesses {
        Likenesses { known: Mutex::new(Known { likenesses, file }) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those that lie in a folder and are wanted; the others are dropped.
fn reduce(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> io::Result<HashMap<String, Likeness>> {
    let path = folder.join(Likenesses::FILE);
    let text = match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    // What a kill left half written is no line, and goes with the others that are dropped.
    let known = text.lines().filter_map(parse).filter(|(sha256, _)| is_wanted(sha256));
    let likenesses: HashMap<String, Likeness> = known.collect();
    let lines: String = likenesses.iter().map(|(sha256, likeness)| line(sha256, likeness)).collect();
    if lines.len() != text.len() {
        let unfinished = path.with_extension("new");
        std::fs::write(&unfinished, lines)?;
        std::fs::rename(&unfinished, &path)?;
    }
    Ok(likenesses)
}

fn line(sha256: &str, likeness: &Likeness) -> String {
    format!("{sha256} {}\n", hex::encode(likeness.as_bytes()))
}

fn parse(line: &str) -> Option<(String, Likeness)> {
    let (sha256, bits) = line.split_once(' ')?;
    let bytes = hex::decode(bits).ok()?;
    Some((sha256.into(), Likeness::from_bytes(&bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likenesses_of_wanted_images_are_found_again_also_after_a_kill() {
        let folder = std::env::temp_dir().join(format!("assay-likenesses-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let likeness = |bits: u8| Likeness::from_bytes(&[bits; 32]).unwrap();
        let first = Likenesses::open(&folder, &HashSet::new()).unwrap();
        for (sha256, bits) in [("a", 1), ("b", 2), ("c", 3)] {
            first.insert(sha256, &likeness(bits));
        }
        let path = folder.join(Likenesses::FILE);
        let torn = std::fs::read_to_string(&path).unwrap() + "d 0404";
        std::fs::write(&path, torn).unwrap();
        let second = Likenesses::open(&folder, &HashSet::from(["a", "c", "d"])).unwrap();
        assert_eq!(
            ["a", "b", "c", "d"].map(|sha256| second.get(sha256)),
            [Some(likeness(1)), None, Some(likeness(3)), None]
        );
        second.insert("d", &likeness(4));
        let third = Likenesses::open(&folder, &HashSet::from(["a", "b", "c", "d"])).unwrap();
        assert_eq!(third.get("d"), Some(likeness(4)));
        assert_eq!(third.get("b"), None, "what was not wanted is dropped");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
