"""The rows of what Core ML documents of updates and of what tailor chooses: what the page says of each, and its tests."""

from __future__ import annotations

HERE, UPDATES, TASKS = "tasks.test_semantics", "tasks.test_update_task", "tasks.test_task"

# row -> what the page says, and the tests, as ``module::test``
ROWS: dict[str, tuple[str, list[str]]] = {
    "a cancel ends in FAILED, raised by await, without completion": ("`task.cancel()` moves a running task to CANCELLING at once", [
        f"{UPDATES}::test_cancelling_in_a_handler_ends_at_once_without_completion",
        f"{TASKS}::test_cancelling_is_a_state_at_once_and_ends_in_failed",
    ]),
    "the awaiting scope is cancelled": ("**Cancelling the scope that awaits a task** cancels the task", [
        f"{UPDATES}::test_the_awaiting_scope_being_cancelled_stops_an_endless_update_and_leaves_no_thread",
        f"{TASKS}::test_cancelling_the_awaiting_scope_cancels_the_task_and_leaves_nothing",
    ]),
    "cancel before the first resume": ("A task that was never resumed goes straight to FAILED, without having run", [
        f"{TASKS}::test_cancelled_before_it_began_it_has_not_run",
        "tasks.test_state_machine::test_any_life_of_an_update_is_as_documented",
    ]),
    "resume while running, and on a final task": ("**`resume()` on a running task** does nothing, except that the parameters", [
        f"{TASKS}::test_resuming_twice_is_nothing_and_after_the_end_an_error",
        f"{UPDATES}::test_a_handler_can_change_the_learning_rate_from_the_next_mini_batch_on",
        f"{UPDATES}::test_a_change_that_is_not_allowed_is_refused_and_changes_nothing",
    ]),
    "resume with what cannot change": ("**`resume(with_parameters=...)`** takes only what can change while an update is in progress", [
        f"{HERE}::test_in_progress_the_learning_rate_alone_can_change",
        f"{UPDATES}::test_a_change_that_is_not_allowed_is_refused_and_changes_nothing",
    ]),
    "an exception in a handler": ("One that raises fails the task; its exception is the", [
        f"{UPDATES}::test_an_exception_in_a_handler_fails_the_task_with_it_as_the_cause",
    ]),
    "handlers, plain or async, are waited for": ("**Handlers** are plain or async functions. Training waits for them", [
        f"{HERE}::test_training_waits_for_a_handler_however_long_it_takes",
        f"{UPDATES}::test_a_handler_can_change_the_learning_rate_from_the_next_mini_batch_on",
    ]),
    "loss told": ("**The loss in a context's metrics** is the mean over the mini-batch's examples", [
        f"{HERE}::test_a_squared_error_is_a_mean_over_elements_and_examples",
        f"{UPDATES}::test_the_course_of_an_update_is_gradient_descent_told_event_by_event",
    ]),
    "partial last batch": ("**A last mini-batch that is not full** is used, and its mean is over the examples that it has", [
        f"{HERE}::test_a_squared_error_is_a_mean_over_elements_and_examples",
        f"{UPDATES}::test_the_course_of_an_update_is_gradient_descent_told_event_by_event",
    ]),
    "batch reduction": ("**The loss of a mini-batch** is the mean over its examples; mean squared error is a mean over", [
        f"{HERE}::test_a_squared_error_is_a_mean_over_elements_and_examples",
        f"{HERE}::test_cross_entropy_is_minus_the_logarithm_of_the_labels_share",
    ]),
    "SGD with momentum": ("**SGD**: `v = momentum * v - learning_rate * gradient`, then `w = w + v`", [
        f"{HERE}::test_momentum_and_adam_by_hand",
        "kernels.test_optimizers::test_momentum_by_hand",
    ]),
    "Adam": ("**Adam** is the paper's (Kingma and Ba, 2015): corrected for bias, `eps` outside the square root", [
        f"{HERE}::test_momentum_and_adam_by_hand",
        "kernels.test_optimizers::test_steps_are_those_of_pytorch",
    ]),
    "optimizer state across updates": ("**Optimizer state** begins fresh with every update", [
        f"{HERE}::test_a_second_update_begins_with_a_fresh_optimizer",
        "tasks.test_checkpoints::test_taken_up_from_any_boundary_it_ends_with_the_same_bits",
    ]),
    "shuffling": ("**Shuffling** draws a new permutation for every epoch from PCG64 seeded with the seed and the epoch's number", [
        f"{HERE}::test_permutations_are_those_of_pcg64_seeded_with_seed_and_epoch",
        f"{UPDATES}::test_the_order_of_the_examples_comes_from_seed_and_epoch",
        f"{UPDATES}::test_a_seed_that_nobody_gave_is_drawn_and_told",
        "tasks.test_checkpoints::test_taken_up_from_any_boundary_it_ends_with_the_same_bits",
    ]),
    "a loss that is not finite": ("**NaN or infinity in the loss** fails the task with an error that names epoch and mini-batch", [
        f"{UPDATES}::test_a_loss_that_is_not_finite_fails_the_task_naming_epoch_and_batch",
        f"{UPDATES}::test_the_base_model_stays_as_it_is",
    ]),
    "neighbours: ties": ("**Ties** between labels go to the label of the nearest of the tied examples; then to the example", [
        f"{HERE}::test_taught_neighbours_vote_as_worked_out_by_hand",
        "models.test_neighbors::test_labels_and_shares_by_hand",
    ]),
    "neighbours: inverse weighting": ("**Inverse distance weighting** counts a vote as 1 / distance", [
        f"{HERE}::test_taught_neighbours_vote_as_worked_out_by_hand",
        "models.test_neighbors::test_random_data_agrees_with_scikit_learn",
    ]),
    "neighbours: more than there are": ("**More neighbours asked for than there are examples**: all examples vote. Duplicates vote each", [
        f"{HERE}::test_taught_neighbours_vote_as_worked_out_by_hand",
    ]),
    "neighbours: probabilities": ("**Probabilities** are the votes divided by their sum, over all labels known", [
        f"{HERE}::test_taught_neighbours_vote_as_worked_out_by_hand",
    ]),
    "numbers": ("**Arithmetic** is float32, for float32 and for float16 weights. Outputs have the type", [
        f"{HERE}::test_arithmetic_is_float32_and_outputs_are_as_declared",
    ]),
    "the low precision switch": ("**`allow_low_precision_accumulation_on_gpu`** is accepted, and affects accelerators only", [
        f"{HERE}::test_the_low_precision_switch_and_the_neural_engine_change_no_bit",
    ]),
    "the neural engine": ("**The neural engine** means", [
        f"{HERE}::test_the_low_precision_switch_and_the_neural_engine_change_no_bit",
        "models.test_configuration::test_every_choice_of_compute_units_is_taken_and_gives_the_same_bits",
    ]),
    "types that are Apple's own": ("**Types that are private to Apple**", [
        "models.test_private_parts::test_a_private_part_is_named_until_a_class_is_provided",
        "models.test_private_parts::test_a_private_part_is_saved_as_it_is_and_can_be_looked_at",
    ]),
    # what is documented
    "documented: a task's life": ("**A task** is SUSPENDED until somebody resumes, awaits or follows it", [
        f"{HERE}::test_the_numbers_and_names_are_core_mls",
        f"{TASKS}::test_the_table_is_the_whole_of_what_may_happen",
        f"{UPDATES}::test_many_tasks_share_a_runtime",
        "tasks.test_state_machine::test_any_life_of_an_update_is_as_documented",
    ]),
    "documented: completion on success and failure": ("**The completion handler** is called once, when the task has completed or failed", [
        f"{UPDATES}::test_the_completion_handler_is_told_of_success_and_of_failure",
        f"{UPDATES}::test_after_a_cancel_no_completion_is_told_even_where_the_handler_then_raises",
    ]),
    "documented: events, contexts, metrics": ("**A context** has the task, its event, metrics", [
        f"{HERE}::test_the_numbers_and_names_are_core_mls",
        f"{UPDATES}::test_the_course_of_an_update_is_gradient_descent_told_event_by_event",
        f"{UPDATES}::test_a_contexts_model_is_the_model_of_its_moment",
        "tasks.test_weights_in_and_out::test_a_model_in_mid_training_can_be_read_written_and_gone_on_from",
    ]),
    "documented: constructors, and what they check": ("A value that the model does not allow is refused when the task is made", [
        f"{UPDATES}::test_a_parameter_out_of_its_constraint_is_refused_at_construction",
        f"{UPDATES}::test_what_cannot_be_trained_is_refused_at_construction",
        f"{UPDATES}::test_an_argument_of_another_type_is_one_clear_error",
        "tasks.test_weights_in_and_out::test_every_way_to_make_an_update",
    ]),
    "documented: keys and descriptions": ("**Keys** are narrowed with `scoped(...)`", [
        f"{HERE}::test_the_numbers_and_names_are_core_mls",
        f"{HERE}::test_parameters_are_described_with_default_and_constraint",
        f"{HERE}::test_a_pipelines_models_have_names_by_which_keys_are_scoped",
        "models.test_pipeline::test_names_are_unique_and_as_many_as_models",
        "models.test_linked::test_name_and_search_path_are_parameters",
    ]),
    "documented: what is updatable": ("**What can be updated** is what Core ML can update", [
        f"{HERE}::test_cross_entropy_is_minus_the_logarithm_of_the_labels_share",
        f"{HERE}::test_taught_neighbours_vote_as_worked_out_by_hand",
        "network.test_learner::test_a_network_that_cannot_learn_says_why",
        "network.test_learner::test_a_classifier_learns_from_labels",
        "models.test_pipeline::test_what_the_last_model_learns_from_is_made_by_those_in_front_and_its_target_given",
    ]),
}  # fmt: skip
