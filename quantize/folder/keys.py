"""The table of every key that a model's folder may hold, and what edgekit does with it.

A key is `read` (by edgekit, or by the library that loads the folder for it), `idle` (no answer
depends on it) or `refused` (it changes answers in a way that edgekit does not follow), each with
the reason. What is in no table is warned of; `check.py` does both. The keys that a model's own
class has, such as hidden_size, are asked of the installed library (`model_keys`), with what its
code reads beside them in OWN_KEYS. Two files need no table: task.json, since a task's `Config`
names every key, and any other is an error; and added_tokens.json, whose keys are tokens.
"""

import inspect
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple


class Rule(NamedTuple):
    """What is done with a key.

    verdict: read, idle or refused.
    why: who reads it, why nothing depends on it, or why it is refused and what to do instead.
    harmless: the values of a refused key that change nothing, and so are not refused.
    """

    verdict: Literal["read", "idle", "refused"]
    why: str
    harmless: tuple[object, ...] = ()


Table = Mapping[str, Rule]
UNSET: tuple[object, ...] = (None, False, "", [], {})


def _read(names: str, why: str) -> dict[str, Rule]:
    return {name: Rule("read", why) for name in names.split()}


def _idle(names: str, why: str) -> dict[str, Rule]:
    return {name: Rule("idle", why) for name in names.split()}


def _refused(names: str, why: str, harmless: tuple[object, ...] = UNSET) -> dict[str, Rule]:
    return {name: Rule("refused", why, harmless) for name in names.split()}


SPECIAL_TOKENS = (
    "bos_token eos_token unk_token sep_token pad_token cls_token mask_token"
    " additional_special_tokens"
)
MODEL = "the library builds the model from it"
TOKENIZER = "the library builds the tokenizer from it, which becomes part of the bundle"
ABOUT = "says where the file comes from"
GENERATION = "is about generating text"
CODE = "asks for code from the folder, which is never run; use a class of transformers"

CONFIG: Table = {
    **_read("architectures model_type", "names the class that the library builds"),
    **_read("id2label label2id num_labels", "names the model's outputs"),
    **_read("problem_type", "says whether one label applies, or any number"),
    **_read("tokenizer_class", TOKENIZER),
    **_read(
        "bos_token_id eos_token_id pad_token_id sep_token_id cls_token_id is_decoder"
        " is_encoder_decoder add_cross_attention cross_attention_hidden_size pruned_heads"
        " tie_word_embeddings tie_encoder_decoder",
        MODEL,
    ),
    **_read("transformers_version", "is compared with the version that is installed"),
    **_read(
        "sentence_transformers sbert_ce_default_activation_function",
        "names what a cross-encoder makes of its outputs; it must be what the task does",
    ),
    **_read("function_to_apply", "names what a pipeline makes of the outputs, as the task does"),
    **_idle("_name_or_path name_or_path _commit_hash finetuning_task vocab_file", ABOUT),
    **_idle("unsloth_version unsloth_fixed optimum_version export_model_type", ABOUT),
    **_idle("torch_dtype dtype", "is how weights are stored; they are read as fp32"),
    **_idle(
        "attn_implementation _attn_implementation _attn_implementation_internal"
        " _attn_implementation_autoset _flash_attn_2_enabled use_flash_attn"
        " gradient_checkpointing use_cache tf_legacy_loss use_bfloat16 chunk_size_feed_forward",
        "is about how fast the library computes, or how it trains",
    ),
    **_idle(
        "output_hidden_states output_attentions _output_attentions return_dict use_return_dict"
        " torchscript",
        "is about what else the library hands out; edgekit asks for what it needs",
    ),
    **_idle(
        "pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head"
        " pooler_type directionality",
        "was written for TensorFlow; no model of transformers reads it",
    ),
    **_idle(
        "max_length min_length do_sample early_stopping num_beams temperature top_k top_p typical_p"
        " repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size"
        " bad_words_ids num_return_sequences output_scores return_dict_in_generate"
        " forced_bos_token_id forced_eos_token_id remove_invalid_values"
        " exponential_decay_length_penalty suppress_tokens begin_suppress_tokens num_beam_groups"
        " diversity_penalty prefix decoder_start_token_id task_specific_params",
        GENERATION,
    ),
    **_refused("auto_map custom_pipelines trust_remote_code", CODE),
    **_refused(
        "quantization_config compression_config",
        "the weights are quantized already; build from the float model that they were made from",
    ),
}
# What the code of a family reads though its class does not name it (tests compare with the code).
OWN_KEYS: Mapping[str, frozenset[str]] = {
    "deberta": frozenset(
        {"attention_head_size", "cls_dropout", "embedding_size", "position_buckets",
         "talking_head", "norm_rel_ebd", "share_att_key", "pooler_hidden_size"}
    ),
    "deberta-v2": frozenset(
        {"attention_head_size", "cls_dropout", "conv_act", "conv_groups", "conv_kernel_size",
         "embedding_size", "norm_rel_ebd", "pooler_hidden_size", "position_buckets",
         "share_att_key", "z_steps"}
    ),
    "electra": frozenset({"summary_first_dropout", "summary_proj_to_labels"}),
    "modernbert": frozenset({"rope_scaling"}),
}  # fmt: skip

TOKENIZER_CONFIG: Table = {
    **_read(SPECIAL_TOKENS, TOKENIZER),
    **_read(
        "tokenizer_class extra_special_tokens model_specific_special_tokens added_tokens_decoder"
        " add_prefix_space do_lower_case do_basic_tokenize strip_accents tokenize_chinese_chars"
        " clean_text wordpieces_prefix trim_offsets keep_accents remove_space split_by_punct"
        " vocab_type legacy add_bos_token add_eos_token from_slow pad_token_type_id"
        " cls_token_type_id tokenizer_type",
        TOKENIZER,
    ),
    **_read("model_max_length max_len", "is the longest text in tokens"),
    **_read("padding_side", "says at which end shorter texts of a batch are filled"),
    **_read("truncation_side", "says at which end a text that is too long is cut"),
    **_read("split_special_tokens", "says whether special tokens in a text are cut like words"),
    **_read("model_input_names", "names the model's inputs"),
    **_idle("clean_up_tokenization_spaces spaces_between_special_tokens errors", GENERATION),
    **_idle("chat_template use_default_system_prompt response_template", GENERATION),
    **_idle(
        "name_or_path special_tokens_map_file tokenizer_file vocab_file merges_file"
        " full_tokenizer_file processor_class image_processor_type init_inputs _commit_hash"
        " device_map backend is_local local_files_only use_fast slow_tokenizer_class files_loaded",
        ABOUT,
    ),
    **_idle(
        "max_length stride truncation_strategy pad_to_multiple_of truncation padding",
        "is a setting of single calls, which the library sets anew in each",
    ),
    **_idle(
        "never_split sp_model_kwargs",
        "is read by the slow tokenizer only; the library takes the fast one",
    ),
    **_refused("auto_map", CODE),
}
TOKENIZER_JSON: Table = {
    **_read("added_tokens normalizer pre_tokenizer post_processor decoder model", TOKENIZER),
    **_read(
        "truncation padding",
        "their sides are those of tokenizer_config.json where that has none, or of task.json;"
        " lengths are never taken from here",
    ),
    **_idle("version", ABOUT),
}
SPECIAL_TOKENS_MAP: Table = _read(f"{SPECIAL_TOKENS} extra_special_tokens", TOKENIZER)

MODULES: Table = {
    **_read("type", "names a step; Transformer, Pooling, Normalize and Dropout are known"),
    **_read("path", "is the folder with the step's own settings"),
    **_idle("idx name kwargs", "names the step, and what may be passed to it"),
}
POOLING: Table = {
    **_read("pooling_mode", "says how one vector is made of the tokens'"),
    **_read(
        "pooling_mode_cls_token pooling_mode_max_tokens pooling_mode_mean_tokens"
        " pooling_mode_mean_sqrt_len_tokens pooling_mode_weightedmean_tokens"
        " pooling_mode_lasttoken",
        "says how one vector is made of the tokens', in the spelling before 5.4",
    ),
    **_idle("word_embedding_dimension embedding_dimension", "is the model's width, as it says"),
    **_read("include_prompt", "says whether the tokens of the prompt are pooled as well"),
}
SENTENCE_BERT: Table = {
    **_read("max_seq_length", "is the longest text in tokens"),
    **_read("do_lower_case", "puts texts into small letters first"),
    **_read("modality_config", "must take texts by the model's last hidden state, or its logits"),
    **_read("transformer_task", "must be what the task is for"),
    **_refused(
        "module_output_name", "vectors are pooled from token_embeddings",
        (*UNSET, "token_embeddings", "scores"),
    ),
    **_refused(
        "processing_kwargs model_args model_kwargs tokenizer_args processor_kwargs config_args"
        " config_kwargs",
        "edgekit loads a folder without such options; write them into config.json or"
        " tokenizer_config.json, or remove them",
    ),
    **_refused("tokenizer_name_or_path", "copy that tokenizer's files into the folder"),
    **_idle("unpad_inputs", "is about how fast the library computes, or how it trains"),
}  # fmt: skip
SENTENCE_TRANSFORMERS: Table = {
    **_read("__version__", "is compared with the version that edgekit knows"),
    **_read("prompts default_prompt_name", "the default prompt is put before each text"),
    **_read("activation_fn", "names what a cross-encoder makes of its outputs"),
    **_read("model_type", "must be what the task is for"),
    **_idle("similarity_fn_name", "compares vectors; evaluation compares by cosine"),
    **_refused(
        "truncate_dim",
        "answers have all dimensions; remove it, and cut the vectors where they are used",
        (None,),
    ),
}
PREPROCESSOR: Table = {
    **_read(
        "do_resize size resample do_rescale rescale_factor do_normalize image_mean image_std"
        " do_center_crop crop_size do_convert_rgb do_pad crop_pct do_flip_channel_order offset"
        " do_thumbnail do_align_long_axis rescale_offset do_grayscale keep_aspect_ratio"
        " include_top do_crop_margin",
        "is compared with task.json",
    ),
    **_idle(
        "image_processor_type feature_extractor_type processor_class _processor_class"
        " transformers_version _valid_processor_keys",
        ABOUT,
    ),
    **_idle(
        "do_reduce_labels reduce_labels size_divisor return_tensors data_format input_data_format"
        " device disable_grouping default_to_square image_seq_length pad_size"
        " ensure_multiple_of",
        "is about labels, padding to other sizes, or how the library hands out its tensors",
    ),
    **_refused("auto_map", CODE),
}


def model_keys(model_type: str) -> frozenset[str] | None:
    """Return the keys of config.json that a model's own class reads, as the library has it.

    None where the installed library has no such model.
    """
    from transformers import CONFIG_MAPPING

    if model_type not in CONFIG_MAPPING:
        return None
    kind: Any = CONFIG_MAPPING[model_type]
    named = set(inspect.signature(kind.__init__).parameters) - {"self", "kwargs"}
    return frozenset(named | set(kind.attribute_map)) | OWN_KEYS.get(model_type, frozenset())
