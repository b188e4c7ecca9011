"""The tests of each guarantee of cliptail_jax/runs/README.md, by its first words."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

GUARANTEES = {
    "Saved work is never lost": """
        test_a_run_that_is_killed_and_then_terminated_ends_bit_for_bit_as_an_uninterrupted_one
        test_two_processes_are_stopped_and_killed_and_train_to_the_numbers_of_one
        test_runs_at_the_same_time_are_killed_and_have_the_numbers_of_one_core
        test_a_program_is_stopped_also_while_a_core_has_nothing_left_to_do
        test_a_program_that_fails_or_dies_at_a_change_of_a_file_ends_the_same_when_run_again
        test_an_interrupted_command_continues_and_writes_the_same_files
        test_a_full_disk_is_one_line_and_training_goes_on_when_there_is_space
        test_a_program_that_is_stopped_says_so_in_a_line_at_any_moment
        test_ctrl_c_in_training_names_the_step_that_is_saved
        test_a_killed_worker_process_ends_training_in_a_line_and_it_goes_on_from_there
        test_a_killed_process_is_a_line_with_the_remedy
        test_a_killed_process_ends_the_program_soon_though_another_does_not_stop
        test_a_program_that_waits_for_data_in_vain_says_so_and_ends_soon_after_sigterm
        test_output_to_a_closed_stream_is_discarded
        test_a_terminal_shows_a_bar_from_the_start_and_at_the_end_where_the_results_are
        test_without_a_terminal_there_is_a_line_before_the_first_step_and_then_one_a_minute
        test_a_failed_run_is_reported_and_the_others_go_on
        test_claims_that_were_added_or_changed_after_the_first_run_are_marked
        test_claims_whose_runs_were_changed_after_the_first_run_are_marked
    """,
    "A program replaces only its own files": """
        test_files_that_a_program_did_not_write_are_left
        test_a_head_is_known_by_the_description_beside_it
        test_an_input_by_another_name_is_still_one
        test_files_that_describe_reads_are_not_its_output
        test_a_run_does_not_begin_among_files_of_another_program
        test_a_study_with_another_recipe_leaves_everything_as_it_is
        test_a_study_does_not_begin_in_the_directory_of_another
        test_a_set_that_was_built_from_other_data_or_with_other_options_is_not_taken_for_these
        test_evaluations_of_published_models_are_not_lost_to_a_run
        test_a_transfer_does_not_replace_the_report_of_a_study
        test_published_runs_that_a_study_cannot_continue_are_one_line
        test_an_interrupted_copy_of_published_runs_is_continued
    """,
    "A run matches its config, or is refused": """
        test_a_work_directory_of_another_config_is_refused_without_overwrite
        test_a_run_from_when_all_optimizers_had_one_section_is_that_of_its_config
        test_changed_data_is_refused_before_anything_is_written
        test_checkpoints_without_a_readable_config_are_refused
        test_published_runs_that_a_study_cannot_continue_are_one_line
        test_other_weights_than_those_a_run_began_with_are_an_error
        test_a_finished_run_with_a_corrupt_end_is_evaluated_once_it_is_trained_again
    """,
    "Numbers are reproducible": """
        test_batches_are_the_same_resumed_and_in_several_processes
        test_composed_batches_are_the_same_resumed_and_in_several_processes
        test_runs_at_the_same_time_are_killed_and_have_the_numbers_of_one_core
        test_a_run_goes_on_with_another_number_of_devices
    """,
    "Damaged files are named, and never read as data": """
        test_a_run_goes_on_from_its_last_valid_checkpoint_with_the_same_numbers
        test_a_changed_or_missing_file_of_a_finished_run_is_named
        test_a_damaged_line_is_named
        test_a_line_that_a_kill_has_cut_off_is_left_out_and_does_not_spoil_the_next
        test_damage_to_a_file_is_named_or_changes_nothing
        test_synthetic_input_is_read_or_refused_in_a_line
        test_a_value_of_another_type_is_named_with_its_field
        test_no_flipped_bit_of_the_metadata_goes_unnoticed
        test_no_changed_name_of_a_class_goes_unnoticed
        test_no_cut_of_a_shard_goes_unnoticed
        test_samples_left_out_of_a_shard_are_counted_with_an_example
        test_samples_that_only_the_parquet_file_lists_are_counted
        test_records_without_a_label_are_left_out_of_a_variant_and_counted
        test_missing_shard_ends_a_build_or_is_counted
        test_what_is_left_out_is_counted_with_an_example
        test_sixteen_bits_are_scaled_to_eight
        test_values_without_a_known_range_are_unreadable_and_named
        test_image_in_a_damaged_chunk_is_empty_and_the_others_are_there
        test_an_unpacked_archive_gives_the_report_of_the_study
        test_published_runs_that_a_study_cannot_continue_are_one_line
        test_damaged_outputs_are_computed_again
        test_damaged_features_and_predictions_are_computed_again
        test_weights_or_settings_that_do_not_fit_are_named_in_one_line
        test_weights_that_are_not_finite_are_not_evaluated
        test_features_that_are_not_finite_end_an_evaluation
    """,
    "Only one program writes to a run's directory at a time": """
        test_a_run_that_another_process_trains_is_left_to_it
        test_a_run_that_another_program_writes_to_is_not_evaluated
        test_a_second_process_is_told_who_holds_a_work_directory_until_that_one_ends
        test_a_buckets_lock_is_held_as_long_as_its_holder_writes_to_it
        test_a_buckets_lock_that_nobody_writes_to_is_taken
    """,
    "A mistake gives one line": """
        test_programs_refuse_a_place_before_they_read_anything
        test_synthetic_input_is_read_or_refused_in_a_line
        test_a_beam_command_that_cannot_run_is_one_line
        test_an_error_of_the_machine_is_a_line_and_one_of_the_program_is_not
        test_every_program_ends_quietly_without_a_reader_and_says_errors_in_a_line
        test_every_wrong_value_of_a_configuration_is_one_line
    """,
    "A run that does not learn gives a warning": """
        test_a_loss_that_stays_at_chance_is_said_once_with_the_number
        test_a_model_that_predicts_one_class_is_said_once
    """,
}


def test_every_guarantee_has_its_tests():
    page = (ROOT / "cliptail_jax/runs/README.md").read_text(encoding="utf-8").partition("\n## Limits")[0]
    defined = {
        name
        for path in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    }
    assert re.findall(r"^- \*\*(.*)\.\*\*", page, re.M) == list(GUARANTEES)
    missing = {topic: set(names.split()) - defined for topic, names in GUARANTEES.items()}
    assert not any(missing.values()), missing
