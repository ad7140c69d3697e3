//! The shipped embedding's tokeniser, beside the `tokenizers` crate with the same vocabulary.

use std::sync::Arc;

use pointsman::Embedding;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, Tokenizer};

const BASE: &[u8] = include_bytes!("../../../models/base-embedding.safetensors");

/// The pieces of the shipped embedding, a line each.
pub(crate) fn vocabulary() -> String {
    let tensors = safetensors::SafeTensors::deserialize(BASE).expect("the shipped file is whole");
    let text = tensors.tensor("base.pieces").expect("it has a vocabulary").data();
    String::from_utf8(text.to_vec()).expect("which is text")
}

/// The shipped embedding, and its vocabulary under the reference implementation.
pub(crate) struct Both {
    ours: Arc<Embedding>,
    theirs: Tokenizer,
}

impl Both {
    pub(crate) fn new() -> Self {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(&file, vocabulary()).expect("it is writable");
        let model = WordPiece::from_file(&file.path().to_string_lossy()).build().expect("a vocabulary");
        let mut theirs = Tokenizer::new(model);
        theirs.with_normalizer(Some(BertNormalizer::new(true, true, None, true))).expect("a normaliser");
        theirs.with_pre_tokenizer(Some(BertPreTokenizer));
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(|token| AddedToken::from(token, true));
        theirs.add_special_tokens(special).expect("special tokens of the vocabulary");
        let ours = Embedding::from_bytes(BASE, "the shipped embedding").expect("it is valid");
        Self { ours, theirs }
    }

    /// Panics where the two differ.
    pub(crate) fn check(&self, text: &str) {
        let mut ids = Vec::new();
        self.ours.encode(text, &mut ids);
        let expected = self.theirs.encode_fast(text, false).expect("any text has pieces");
        assert_eq!(ids, expected.get_ids(), "{text:?}");
    }
}
