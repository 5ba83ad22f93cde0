//! Files and folders that are whole or not there: also after a kill or a power cut, and for readers in the meantime.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a file under another name beside its place, waits until it is on the disk, and gives it its name: who looks finds
/// the old content or the new one.
pub fn persist(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = with_ending(path, ".new");
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        rename(&unfinished, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })
}

/// Gives a folder of files its name once all of it is on the disk. Fails where there is a folder with files already.
pub fn persist_folder(unfinished: &Path, path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(unfinished)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(unfinished)?.sync_all()?;
    rename(unfinished, path)
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    // The name is an entry of the folder, which has to be on the disk as well.
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_folder(test: impl FnOnce(&Path)) {
        let folder = std::env::temp_dir().join(format!("assay-persist-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        test(&folder);
        fs::remove_dir_all(folder).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.collect()
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        in_folder(|folder| {
            let path = folder.join("a.json");
            for bytes in [&b"first"[..], b"second"] {
                persist(&path, bytes).unwrap();
                assert_eq!(fs::read(&path).unwrap(), bytes);
            }
            assert_eq!(names(folder), ["a.json"]);
        });
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_content() {
        in_folder(|folder| {
            let path = folder.join("a");
            fs::create_dir(&path).unwrap();
            fs::write(path.join("inside"), b"kept").unwrap();
            persist(&path, b"a file in the place of a folder").unwrap_err();
            assert_eq!((names(folder), names(&path)), (vec!["a".to_string()], vec!["inside".to_string()]));
            persist(&folder.join("nowhere/a"), b"x").unwrap_err();
        });
    }

    #[test]
    fn a_folder_takes_its_name_once() {
        in_folder(|folder| {
            let path = folder.join("made");
            for (unfinished, takes_it) in [("one", true), ("other", false)] {
                let unfinished = folder.join(unfinished);
                fs::create_dir(&unfinished).unwrap();
                fs::write(unfinished.join("file"), b"x").unwrap();
                assert_eq!(persist_folder(&unfinished, &path).is_ok(), takes_it);
            }
            assert!(path.join("file").exists() && folder.join("other").exists());
        });
    }
}
