//! `assay labels annotate`: folders of images become an annotation file.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::commands::End;
use crate::commands::files::Found;
use crate::commands::print::say;
use crate::config::Config;
use domain::{Generator, LabelledOrigin};
use labels::Vocabulary;
use labels::annotations::{self, Annotation};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  assay labels annotate real/ fake/ > train.txt
  assay labels annotate real/ fake/ --root images --content-type faces > images/faces.txt

A folder below FAKE that is called like a generator or a family of the vocabulary names its images' generator: fake/sdxl-1.0/,
fake/gan/. The source of an image is its folder. Paths begin in --root, which the commands that read the file want too.")]
pub(super) struct Args {
    /// The folder of real images, searched through.
    #[arg(value_name = "REAL")]
    real: PathBuf,
    /// The folder of synthetic images, searched through.
    #[arg(value_name = "FAKE")]
    fake: PathBuf,
    /// Where the paths in the file begin.
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
    /// Of all images: photos, paintings, faces, uncategorized.
    #[arg(long, value_name = "WORD", default_value = "uncategorized")]
    content_type: String,
}

pub(super) fn run(args: &Args, config: &Config) -> Result<(), End> {
    let vocabulary = config.labels.vocabulary()?;
    if !vocabulary.content_types().any(|known| known == args.content_type) {
        let known: Vec<&str> = vocabulary.content_types().collect();
        return Err(End::usage(format!("{:?} is no content type; there are {}", args.content_type, known.join(", "))));
    }
    let root = canonical(&args.root)?;
    let mut lines = Vec::new();
    let mut counts = [0, 0, 0];
    for (folder, origin) in [(&args.real, LabelledOrigin::Real), (&args.fake, LabelledOrigin::Synthetic)] {
        let folder = canonical(folder)?;
        let mut found = Found::default();
        found.add(&folder);
        if let Some(problem) = found.unreadable.first() {
            return Err(End::usage(format!("not everything in {} can be read: {problem}", folder.display())));
        }
        for image in found.images {
            let path = below(&image, &root)?;
            let generator = match origin {
                LabelledOrigin::Real => None,
                LabelledOrigin::Synthetic => generator(&image, &folder, &vocabulary),
            };
            counts[usize::from(origin == LabelledOrigin::Synthetic)] += 1;
            counts[2] += usize::from(generator.is_some());
            let content_type = args.content_type.clone();
            let annotation = Annotation { path, origin, content_type, generator, source: String::new() };
            lines.push(annotations::line(&annotation));
        }
    }
    let [real, synthetic, named] = counts;
    if real == 0 || synthetic == 0 {
        let empty = if real == 0 { &args.real } else { &args.fake };
        return Err(End::usage(format!("no images found in {}", empty.display())));
    }
    say!("{}", annotations::HEADER);
    lines.iter().for_each(|line| say!("{line}"));
    tell(&format!(
        "{real} real and {synthetic} synthetic images, {named} of these with a generator; read with --root {}",
        args.root.display()
    ));
    Ok(())
}

#[allow(clippy::print_stderr, reason = "for the person who redirects the rest into a file")]
fn tell(words: &str) {
    if !std::io::stdout().is_terminal() {
        eprintln!("{words}");
    }
}

fn canonical(folder: &Path) -> Result<PathBuf, End> {
    match folder.canonicalize() {
        Ok(path) if path.is_dir() => Ok(path),
        Ok(_) => Err(End::usage(format!("{} is a file; name a folder", folder.display()))),
        Err(error) => Err(End::usage(format!("{} can't be read: {error}", folder.display()))),
    }
}

fn below(image: &Path, root: &Path) -> Result<String, End> {
    let path = image.strip_prefix(root).map_err(|_| {
        End::usage(format!(
            "{} is not below {}; name a folder above all images by --root",
            image.display(),
            root.display()
        ))
    })?;
    let text = path.to_str().ok_or_else(|| End::usage(format!("the path {} is not valid UTF-8", path.display())))?;
    Ok(text.to_owned())
}

/// Named by the nearest folder that is called like one.
fn generator(image: &Path, folder: &Path, vocabulary: &Vocabulary) -> Option<Generator> {
    let within = image.parent()?.strip_prefix(folder).ok()?;
    within.iter().rev().filter_map(|name| name.to_str()).find_map(|name| {
        let family = vocabulary.family_of(name)?;
        Some(Generator { label: name.into(), family: family.into() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_that_is_called_like_a_generator_names_it() {
        let vocabulary = Vocabulary::built_in();
        let of = |path: &str| generator(Path::new(path), Path::new("/fake"), &vocabulary).map(|found| found.label);
        assert_eq!(of("/fake/gan/sdxl-1.0/more/a.png").as_deref(), Some("sdxl-1.0"));
        assert_eq!(of("/fake/gan/a.png").as_deref(), Some("gan"));
        assert_eq!((of("/fake/new/a.png"), of("/fake/a.png")), (None, None));
    }
}
