//! The words that are known: nothing else is named.

use serde::{Deserialize, Serialize};

/// What a word claims an image to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Made by a generative model.
    Synthetic,
    /// Edited or composed.
    Edit,
    /// Taken by a camera, or scanned.
    Capture,
}

/// One of the known words. What a decoder sends is read as one of them, or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub struct Name(&'static Known);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    name: &'static str,
    claim: Option<Claim>,
    /// What it is known by, in small letters.
    marks: &'static [&'static str],
}

const fn known(name: &'static str, claim: Option<Claim>, marks: &'static [&'static str]) -> Known {
    Known { name, claim, marks }
}

const SYNTHETIC: Option<Claim> = Some(Claim::Synthetic);
const EDIT: Option<Claim> = Some(Claim::Edit);
const CAPTURE: Option<Claim> = Some(Claim::Capture);

/// IPTC's digital source types, the retired ones too; one that another begins with comes behind it.
pub(super) static SOURCE_TYPES: &[Known] = &[
    known("trainedAlgorithmicMedia", SYNTHETIC, &["trainedalgorithmicmedia"]),
    known("compositeWithTrainedAlgorithmicMedia", EDIT, &["compositewithtrainedalgorithmicmedia"]),
    known("algorithmicMedia", SYNTHETIC, &["algorithmicmedia"]),
    known("compositeSynthetic", EDIT, &["compositesynthetic"]),
    known("compositeCapture", EDIT, &["compositecapture"]),
    known("composite", EDIT, &["composite"]),
    known("algorithmicallyEnhanced", EDIT, &["algorithmicallyenhanced"]),
    known("humanEdits", EDIT, &["humanedits"]),
    known("minorHumanEdits", EDIT, &["minorhumanedits"]),
    known("digitalCapture", CAPTURE, &["digitalcapture"]),
    known("computationalCapture", CAPTURE, &["computationalcapture"]),
    known("negativeFilm", CAPTURE, &["negativefilm"]),
    known("positiveFilm", CAPTURE, &["positivefilm"]),
    known("print", CAPTURE, &["print"]),
    known("digitalCreation", None, &["digitalcreation"]),
    known("digitalArt", None, &["digitalart"]),
    known("softwareImage", None, &["softwareimage"]),
    known("dataDrivenMedia", None, &["datadrivenmedia"]),
    known("screenCapture", None, &["screencapture"]),
    known("virtualRecording", None, &["virtualrecording"]),
];

/// Those whose settings are found beside their images.
pub(super) static FRONT_ENDS: &[Known] = &[
    known("Stable Diffusion WebUI", SYNTHETIC, &["stable diffusion webui"]),
    known("ComfyUI", SYNTHETIC, &["comfyui"]),
    known("InvokeAI", SYNTHETIC, &["invokeai"]),
    known("NovelAI", SYNTHETIC, &["novelai"]),
    known("Fooocus", SYNTHETIC, &["fooocus"]),
    known("SwarmUI", SYNTHETIC, &["swarmui"]),
    known("Midjourney", SYNTHETIC, &["midjourney"]),
];

/// Programs that sign what they write; the first whose mark is found counts.
pub(super) static SOFTWARE: &[Known] = &[
    known("Midjourney", SYNTHETIC, &["midjourney"]),
    known("DALL·E", SYNTHETIC, &["dall-e", "dall·e", "dalle"]),
    known("OpenAI", SYNTHETIC, &["openai", "chatgpt", "gpt-4o", "gpt-image"]),
    known("Stable Diffusion", SYNTHETIC, &["stable diffusion", "stable-diffusion", "sdxl", "dreamstudio"]),
    known("ComfyUI", SYNTHETIC, &["comfyui"]),
    known("InvokeAI", SYNTHETIC, &["invokeai"]),
    known("NovelAI", SYNTHETIC, &["novelai"]),
    known("Fooocus", SYNTHETIC, &["fooocus"]),
    known("SwarmUI", SYNTHETIC, &["swarmui"]),
    known("Draw Things", SYNTHETIC, &["draw things"]),
    known("Adobe Firefly", SYNTHETIC, &["firefly"]),
    known("Google AI", SYNTHETIC, &["google ai", "google generative ai", "gemini", "imagen"]),
    known("Leonardo.Ai", SYNTHETIC, &["leonardo.ai", "leonardo ai"]),
    known("Ideogram", SYNTHETIC, &["ideogram"]),
    known("Recraft", SYNTHETIC, &["recraft"]),
    known("FLUX", SYNTHETIC, &["black forest labs", "flux.1"]),
    known("Bing Image Creator", SYNTHETIC, &["bing image creator", "image creator from designer"]),
    known("Lightroom", EDIT, &["lightroom"]),
    known("Photoshop", EDIT, &["photoshop"]),
    known("Adobe Express", EDIT, &["adobe express"]),
    known("GIMP", EDIT, &["gimp"]),
    known("Paint.NET", EDIT, &["paint.net"]),
    known("Affinity Photo", EDIT, &["affinity"]),
    known("Pixelmator", EDIT, &["pixelmator"]),
    known("Canva", EDIT, &["canva"]),
    known("Snapseed", EDIT, &["snapseed"]),
    known("PicsArt", EDIT, &["picsart"]),
    known("Krita", EDIT, &["krita"]),
    known("Photopea", EDIT, &["photopea"]),
    known("Capture One", EDIT, &["capture one"]),
    known("darktable", EDIT, &["darktable"]),
    known("RawTherapee", EDIT, &["rawtherapee"]),
    known("Luminar", EDIT, &["luminar"]),
    known("Topaz", EDIT, &["topaz"]),
    known("FaceApp", EDIT, &["faceapp"]),
    known("Facetune", EDIT, &["facetune"]),
    known("Remini", EDIT, &["remini"]),
    known("Meitu", EDIT, &["meitu"]),
    known("VSCO", EDIT, &["vsco"]),
    known("ImageMagick", None, &["imagemagick"]),
];

pub(super) static MAKES: &[Known] = &[
    known("Apple", CAPTURE, &["apple"]),
    known("Samsung", CAPTURE, &["samsung"]),
    known("Google", CAPTURE, &["google"]),
    known("Xiaomi", CAPTURE, &["xiaomi", "redmi", "poco"]),
    known("Huawei", CAPTURE, &["huawei", "honor"]),
    known("OPPO", CAPTURE, &["oppo", "realme"]),
    known("OnePlus", CAPTURE, &["oneplus"]),
    known("vivo", CAPTURE, &["vivo"]),
    known("Motorola", CAPTURE, &["motorola"]),
    known("LG", CAPTURE, &["lg electronics", "lge"]),
    known("HTC", CAPTURE, &["htc"]),
    known("Nokia", CAPTURE, &["nokia", "hmd global"]),
    known("Canon", CAPTURE, &["canon"]),
    known("Nikon", CAPTURE, &["nikon"]),
    known("Sony", CAPTURE, &["sony"]),
    known("Fujifilm", CAPTURE, &["fujifilm", "fuji photo"]),
    known("Panasonic", CAPTURE, &["panasonic"]),
    known("Olympus", CAPTURE, &["olympus", "om digital"]),
    known("Leica", CAPTURE, &["leica"]),
    known("Pentax", CAPTURE, &["pentax", "ricoh"]),
    known("Sigma", CAPTURE, &["sigma"]),
    known("Hasselblad", CAPTURE, &["hasselblad"]),
    known("Phase One", CAPTURE, &["phase one"]),
    known("Kodak", CAPTURE, &["kodak"]),
    known("Casio", CAPTURE, &["casio"]),
    known("Minolta", CAPTURE, &["minolta"]),
    known("DJI", CAPTURE, &["dji"]),
    known("GoPro", CAPTURE, &["gopro"]),
];

impl Name {
    /// The word that is exactly this one, in small letters.
    pub(super) fn exactly(list: &'static [Known], word: &[u8]) -> Option<Name> {
        list.iter().find(|known| known.marks.iter().any(|mark| mark.as_bytes() == word)).map(Name)
    }

    /// The first word whose mark is within the text, which is in small letters.
    pub(super) fn within(list: &'static [Known], text: &[u8]) -> Option<Name> {
        let is_there = |mark: &&str| memchr::memmem::find(text, mark.as_bytes()).is_some();
        list.iter().find(|known| known.marks.iter().any(is_there)).map(Name)
    }

    /// The first word with a mark that the text, which is in small letters, begins with.
    pub(super) fn at_the_beginning(list: &'static [Known], text: &[u8]) -> Option<Name> {
        list.iter().find(|known| known.marks.iter().any(|mark| text.starts_with(mark.as_bytes()))).map(Name)
    }

    pub fn as_str(self) -> &'static str {
        self.0.name
    }

    pub(super) fn claim(self) -> Option<Claim> {
        self.0.claim
    }
}

impl From<Name> for &'static str {
    fn from(name: Name) -> &'static str {
        name.as_str()
    }
}

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Name, Self::Error> {
        let lists = [SOURCE_TYPES, FRONT_ENDS, SOFTWARE, MAKES];
        lists.into_iter().flatten().find(|known| known.name == text).map(Name).ok_or("no known name")
    }
}
