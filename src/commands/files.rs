//! The images that a command is to look at: files, folders and globs, and what of them it could not look at.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::End;
use imaging::{SNIFFED_BYTES, is_image};

/// Endings of images: a file of such a name is one, whatever is in it.
const ENDINGS: &[&str] = &[
    "apng", "avif", "bmp", "dib", "gif", "heic", "heif", "jfif", "jpe", "jpeg", "jpg", "jxl", "png", "tif", "tiff",
    "webp",
];

/// In a stable order. A file that is named outright is an image whatever it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub images: Vec<PathBuf>,
    /// Files in the folders that are no images, neither by their names nor by their first bytes: nobody waits for a verdict on these.
    pub others: usize,
    /// Folders, links and files that can't be read, and why. What is behind them was not looked at.
    pub unreadable: Vec<String>,
}

impl Found {
    pub(super) fn of(patterns: &[String]) -> Result<Found, End> {
        let mut found = Found::default();
        for pattern in patterns {
            let path = Path::new(pattern);
            if path.exists() {
                found.add(path);
            } else if pattern.contains(['*', '?', '[']) {
                let matches =
                    glob::glob(pattern).map_err(|error| End::usage(format!("{pattern:?} is no glob: {error}")))?;
                let mut is_empty = true;
                for path in matches {
                    is_empty = false;
                    match path {
                        Ok(path) => found.add(&path),
                        Err(error) => found.unreadable.push(error.to_string()),
                    }
                }
                if is_empty {
                    return Err(End::usage(format!("{pattern:?} matches no file")));
                }
            } else if path.is_symlink() {
                return Err(End::usage(format!("{pattern:?} is a link to something that does not exist")));
            } else {
                return Err(End::usage(format!("{pattern:?} does not exist")));
            }
        }
        if found.images.is_empty() && found.unreadable.is_empty() {
            return Err(End::usage(format!(
                "no images found in {} (other files there: {})",
                patterns.join(", "),
                found.others
            )));
        }
        Ok(found)
    }

    /// A file as it is, a folder with all that is below it, links followed.
    pub(super) fn add(&mut self, path: &Path) {
        if !path.is_dir() {
            return self.images.push(path.to_owned());
        }
        for entry in WalkDir::new(path).follow_links(true).sort_by_file_name() {
            match entry {
                Err(error) => self.unreadable.push(error.to_string()),
                Ok(entry) if entry.file_type().is_file() => match head(entry.path()) {
                    Ok(head) if is_image(&head) || is_called_one(entry.path()) => self.images.push(entry.into_path()),
                    Ok(_) => self.others += 1,
                    Err(error) => self.unreadable.push(format!("{}: {error}", entry.path().display())),
                },
                // Folders come with what is in them; sockets and the like hold nothing.
                Ok(_) => {}
            }
        }
    }
}

fn is_called_one(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

fn head(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(SNIFFED_BYTES);
    File::open(path)?.take(SNIFFED_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

    #[test]
    fn what_was_not_looked_at_is_counted_and_links_are_followed() {
        let folder = std::env::temp_dir().join(format!("assay-files-{}", uuid::Uuid::new_v4()));
        let elsewhere = folder.with_extension("elsewhere");
        for folder in [&folder, &elsewhere] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(folder.join("no ending"), PNG).unwrap();
        std::fs::write(folder.join("phone.HEIC"), b"\0\0\0\x18ftypheic").unwrap();
        std::fs::write(folder.join("notes.txt"), "no image").unwrap();
        std::fs::write(folder.join("damaged.JPG"), "no image").unwrap();
        std::fs::write(elsewhere.join("linked.png"), PNG).unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.join("to folder")).unwrap();
        std::os::unix::fs::symlink(folder.join("nowhere"), folder.join("broken")).unwrap();
        let found = Found::of(&[folder.display().to_string()]).unwrap();
        let names: Vec<_> = found.images.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["damaged.JPG", "no ending", "phone.HEIC", "linked.png"]);
        assert_eq!((found.others, found.unreadable.len()), (1, 1));
        assert!(found.unreadable[0].contains("broken"), "{:?}", found.unreadable);
        let gone = Found::of(&[folder.join("broken").display().to_string()]).unwrap_err();
        assert!(format!("{gone:?}").contains("a link to something"), "{gone:?}");
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::remove_dir_all(&elsewhere).unwrap();
    }
}
