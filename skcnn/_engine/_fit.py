"""One call of fit: from a data set, a target and settings to a trained net."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from skorch.helper import predefined_split
from torch import Tensor, nn

from skcnn._compute._allocator import retain_freed_memory
from skcnn._compute._ambient import default_torch_settings
from skcnn._compute._device import deterministic_algorithms
from skcnn._compute._device_memory import (
    explain_out_of_memory,
    is_device_shared,
    reserve_device_memory,
)
from skcnn._compute._fork import computing
from skcnn._compute._interrupt import check_interrupts, hold_interrupts
from skcnn._compute._process_group import current_group
from skcnn._compute._rng import fork_rng
from skcnn._compute._threads import compute_threads, single_thread
from skcnn._data._dataset import ImageDataset
from skcnn._data._loader import choose_batch_size
from skcnn._engine._best_weights import NotFiniteError, tensors_of
from skcnn._engine._feature_cache import FeatureCache
from skcnn._engine._frozen import FrozenPart, summarize_trained
from skcnn._engine._job import FitJob, FitSettings
from skcnn._engine._muon import Muon as MuonOptimizer
from skcnn._engine._net import TrainedNet
from skcnn._engine._network_checks import (
    check_outputs,
    check_takes_covariates,
    possible_scales,
    warn_of_limited_outputs,
)
from skcnn._engine._optimizers import resolve_optimizer, supports_weight_decay
from skcnn._engine._predict import PredictionBatching, plan_batches
from skcnn._from_r import whole
from skcnn._utils import refuse_to_continue
from skcnn.networks import ImageNetwork, NetworkSpec
from skcnn.networks._image_network import OwnNetwork
from skcnn.networks._spec import ImageShape
from skcnn.networks._summary import NetworkSummary


def fit_net(job: FitJob, settings: FitSettings, net: TrainedNet | None = None) -> TrainedNet:
    """Train a new net, or continue to train one.

    Where workers share a GPU whose memory turns out too small, the fit is repeated alone.

    Parameters
    ----------
    job : FitJob
    settings : FitSettings
    net : TrainedNet, default=None
        Net whose training continues; if that fails, it is as it was before.

    Returns
    -------
    net : TrainedNet
    """
    first = settings.spec.first_phase() if net is None else None
    if first is not None:
        with hold_interrupts() as interrupts:
            job = replace(job, head=_train_head(job, replace(settings, spec=first)))
            if interrupts.were_raised():
                # A head that is half trained is not worth keeping.
                raise KeyboardInterrupt
    return _train_with_room(job, settings, net)


def _train_with_room(job: FitJob, settings: FitSettings, net: TrainedNet | None) -> TrainedNet:
    """Train, and where a shared device turns out too small, once more alone."""
    try:
        return _train(job, settings, net, exclusive=False)
    except MemoryError:
        if not is_device_shared(settings.device):
            raise
        return _train(job, settings, net, exclusive=True)


def _train_head(job: FitJob, settings: FitSettings) -> dict[str, Tensor]:
    """Train a network for its head alone, which another network begins with."""
    alone = replace(job, validation=None, callbacks=(), checkpoint=None)
    trained = _train_with_room(alone, replace(settings, augment=(), resizing=()), None)
    head: dict[str, Tensor] = trained.module_.head.state_dict()
    return head


def _train(
    job: FitJob, settings: FitSettings, net: TrainedNet | None, *, exclusive: bool
) -> TrainedNet:
    device = settings.device
    continues = net is not None
    n_images = len(job.dataset)
    batch_size = (
        choose_batch_size(n_images)
        if isinstance(settings.batch_size, str)
        # Memory and threads follow from the images that there are.
        else min(settings.batch_size, n_images)
    )
    with (
        fork_rng(job.seed, device),
        default_torch_settings(device),
        deterministic_algorithms(device, settings.deterministic),
        retain_freed_memory(),
        ExitStack() as stack,
    ):
        if net is None:
            with explain_out_of_memory(device, "Use a smaller network"), computing():
                net = _new_net(job, settings)
        else:
            _check_same_network(net, settings)
            stack.enter_context(_rollback_on_error(net))
            _set_optimizer(net, settings)
        with single_thread(), computing():
            summary = check_outputs(net.module_, job.image_shape, job.target)
            scales = possible_scales(
                settings.resizing,
                net.module_,
                job.image_shape,
                are_images=not job.clip_pool_size,
            )
            settings = replace(settings, resizing=scales)
            if not continues and isinstance(net.module_, OwnNetwork):
                warn_of_limited_outputs(net.module_, job.image_shape, job.target)
        trained = summary
        if net.module_.frozen_stages:
            job, trained = _use_features(net, job, settings, summary, is_new=not continues)
        _prepare(net, job, settings, summary, batch_size)
        # Beside other workers, it is better to wait until the device is free.
        net.set_params(divides=exclusive or not is_device_shared(device))
        dataset = job.dataset
        group = current_group()
        if group is None:
            needed = estimate_training_bytes(trained, dataset, batch_size, settings.resizing)
            stack.enter_context(reserve_device_memory(device, needed, exclusive=exclusive))
            work = trained.multiply_adds * batch_size
            stack.enter_context(compute_threads(device, work, inherited=settings.thread_limit))
        else:
            # All processes compute at the same time, each with its own dropout.
            group.check_same_on_all_ranks(len(dataset), batch_size, job.epochs, dataset.y)
            torch.manual_seed(job.seed + group.rank)
        stack.callback(_release_training_state, net, job.epochs)
        hint = f"Use smaller batches than batch_size={batch_size}, or a smaller network"
        stack.enter_context(explain_out_of_memory(device, hint))
        if not continues and job.checkpoint is not None:
            _resume(net, job)
        net.initialize_callbacks()
        # Nothing is trained yet that could be kept.
        check_interrupts()
        with _best_weights_on_error(net), _explain_single_image(len(dataset)):
            net.partial_fit(dataset, None)
            _check_finite(net)
    return net


@contextmanager
def _best_weights_on_error(net: TrainedNet) -> Iterator[None]:
    """Have an error about numbers that are not finite come with the best weights so far."""
    try:
        yield
    except NotFiniteError as error:
        if error.best is not None:
            error.net = error.best.put_into_copy(net)
        raise
    finally:
        net.best_weights_ = None


@contextmanager
def _explain_single_image(n_images: int) -> Iterator[None]:
    """Say in plain words why one image alone cannot be normalized."""
    try:
        yield
    except ValueError as error:
        if n_images > 1 or "more than 1 value per channel" not in str(error):
            raise
        raise ValueError(
            "X has one image (n_samples=1), but batch normalization needs the other images of a "
            "batch. Give two images or more, or set normalization=None."
        ) from error


def _use_features(
    net: TrainedNet, job: FitJob, settings: FitSettings, summary: NetworkSummary, *, is_new: bool
) -> tuple[FitJob, NetworkSummary]:
    """Prepare the head of a network, and run the images through its frozen part, if once will do.

    Returns the job with features in place of images, and the summary of what is then left to run;
    or both as they are, where random changes to images make other features in each epoch.
    """
    network, device = net.module_, torch.device(net.device)
    batching = _choose_batching(network, job, summary, device)
    cache = FeatureCache.open(settings.cache_dir, network, job.image_shape, device)
    frozen = FrozenPart(network, summary, device, batching, settings.thread_limit, cache)
    datasets = [job.dataset, *([] if job.validation is None else [job.validation])]
    shrinks = any(scale < 1 for scale in settings.resizing)
    once = not settings.augment and not shrinks
    if once and frozen.fits_in_memory(sum(map(len, datasets))):
        validation = job.validation and frozen.replace_images(job.validation)
        job = replace(job, dataset=frozen.replace_images(job.dataset), validation=validation)
        summary = summarize_trained(summary, network)
    if is_new and job.head is not None:
        network.head.load_state_dict(job.head)
    elif is_new:
        frozen.fit_head(job.dataset.X)
    return job, summary


def _choose_batching(
    network: ImageNetwork, job: FitJob, summary: NetworkSummary, device: torch.device
) -> PredictionBatching:
    shape = network.inner_shape(job.image_shape)
    return plan_batches(shape, summary.multiply_adds, summary.n_values, device)


def build_network(
    spec: NetworkSpec, image_shape: ImageShape, n_outputs: int, **options: Any
) -> ImageNetwork:
    """Build the network of a skorch net, which can be initialized again."""
    return spec.build(image_shape, n_outputs, **options)


def _optimizer_options(settings: FitSettings) -> tuple[Any, dict[str, Any]]:
    """Return the class of the optimizer, and its options with the weight decay."""
    optimizer, options = resolve_optimizer(settings.optimizer)
    on_gpu = settings.device.type != "cpu"
    if optimizer is MuonOptimizer and settings.precision == torch.bfloat16 and on_gpu:
        # On a CPU, float32 is faster for matrices as small as those of filters.
        options = {**options, "dtype": _name(settings.precision)}
    if supports_weight_decay(settings.optimizer) and "weight_decay" not in options:
        options = {**options, "weight_decay": settings.weight_decay}
    return optimizer, {f"optimizer__{name}": value for name, value in options.items()}


def _name(dtype: torch.dtype) -> str:
    """Return the name of a dtype, which tools that store nets take; they refuse a torch.dtype."""
    return str(dtype).removeprefix("torch.")


def _new_net(job: FitJob, settings: FitSettings) -> TrainedNet:
    optimizer, options = _optimizer_options(settings)
    covariates = getattr(job.dataset.X, "covariates", None)
    if covariates is not None:
        check_takes_covariates(settings.spec)
        options["module__n_covariates"] = covariates.shape[1]
    net = TrainedNet(
        build_network,
        target=job.target,
        module__spec=settings.spec,
        module__image_shape=job.image_shape,
        module__n_outputs=job.target.n_outputs,
        module__measured=settings.spec.measure(job.dataset.X),
        module__clip_pool_size=job.clip_pool_size,
        optimizer=optimizer,
        **options,
        lr=settings.lr,
        bias_lr_factor=settings.bias_lr_factor,
        precision=_name(settings.precision),
        device=str(settings.device),
    )
    net.initialize()
    return net


def _check_same_network(net: TrainedNet, settings: FitSettings) -> None:
    """Refuse to continue with a network of other parameters than those that are set now."""
    fitted, wanted = net.get_params(deep=False)["module__spec"], settings.spec
    old, new = (spec.get_params(deep=False) for spec in (fitted, wanted))
    if type(fitted) is not type(wanted):
        changed = ["module"]
    else:
        changed = [name for name in new if not _is_same(old[name], new[name])]
    if changed:
        refuse_to_continue(
            "the fitted network", f"{', '.join(changed)} has changed", "Set it back"
        )


def _is_same(old: object, new: object) -> bool:
    """Whether a parameter of a network is what it was; modules may differ in weights alone."""
    if old is new:
        return True
    if repr(whole(old)) != repr(whole(new)):
        return False
    modules = [getattr(value, "module_", value) for value in (old, new)]
    states = [module.state_dict() for module in modules if isinstance(module, nn.Module)]
    if len(states) < len(modules):
        return True
    before, now = states
    return before.keys() == now.keys() and all(
        torch.equal(before[name].cpu(), now[name].cpu())
        for name in now
        if isinstance(now[name], Tensor)
    )


def _set_optimizer(net: TrainedNet, settings: FitSettings) -> None:
    """Give a net another optimizer, without the state of the former, if its options changed."""
    optimizer, options = _optimizer_options(settings)
    before = {n: v for n, v in vars(net).items() if n.startswith("optimizer__")}
    if net.optimizer is not optimizer or before != options:
        net.replace_optimizer(optimizer, options)


def _prepare(
    net: TrainedNet,
    job: FitJob,
    settings: FitSettings,
    summary: NetworkSummary,
    batch_size: int,
) -> None:
    """Tell a net, new or not, how to train."""
    device, validation = torch.device(net.device), job.validation
    net.set_params(
        target=job.target,
        precision=_name(settings.precision),
        batching=_choose_batching(net.module_, job, summary, device),
        lr=settings.lr,
        bias_lr_factor=settings.bias_lr_factor,
        max_epochs=job.epochs,
        schedule=job.schedule,
        augment=settings.augment,
        resizing=settings.resizing,
        averaging=job.averaging,
        open_ended=job.open_ended,
        batch_size=batch_size,
        seed=job.seed,
        use_torch_compile=settings.compiles,
        use_cuda_graphs=settings.spec.is_static,
        verbose=int(settings.verbose),
        progress=bool(settings.verbose),
        train_split=None if validation is None else predefined_split(validation),
    )
    # Callbacks may predict during training.
    net.costs_ = (summary.multiply_adds, summary.n_values)
    net.set_lr(settings.lr)
    net.callbacks = list(job.callbacks)


def _resume(net: TrainedNet, job: FitJob) -> None:
    """Take a new net to where the same training was before, and have its state kept."""
    assert job.checkpoint is not None
    checkpoint = job.checkpoint.open(net, job.epochs, job.dataset, job.validation)
    if checkpoint is not None:
        net.max_epochs = checkpoint.load(net)
        net.callbacks.append(checkpoint)


def estimate_training_bytes(
    summary: NetworkSummary, dataset: ImageDataset, batch_size: int, scales: Sequence[float] = ()
) -> int:
    """Estimate how much memory of a device training takes, data included.

    For each activation there are its gradient and the buffers of the layers around it; for each
    parameter its gradient and up to two averages of the optimizer. CUDA graphs are captured for
    each size of images, and each graph keeps its memory.
    """
    whole_images = sum(scale**2 for scale in set(scales)) if scales else 1
    values = 4 * round(whole_images * summary.n_values) * batch_size + 4 * summary.n_parameters
    targets = 0 if dataset.y is None else dataset.y.nbytes
    images = len(dataset) * int(dataset.X[:1].nbytes)
    return torch.float32.itemsize * values + images + targets


@contextmanager
def _rollback_on_error(net: TrainedNet) -> Iterator[None]:
    """Restore a net that was trained before, if further training fails."""
    n_epochs, attributes = len(net.history), dict(vars(net))
    parts = [net.module_, net.optimizer_, *([net.scaler_] if hasattr(net, "scaler_") else [])]
    states = [copy.deepcopy(part.state_dict()) for part in parts]
    try:
        yield
    except BaseException:
        net.__dict__ = attributes
        for part, state in zip(parts, states):
            part.load_state_dict(state)
        del net.history[n_epochs:]
        raise


def _release_training_state(net: TrainedNet, epochs: int) -> None:
    """Make a net ready to predict, and release what only training needs."""
    # The split would keep the validation images in memory, and in every pickle.
    net.set_params(train_split=None, max_epochs=epochs)
    net.set_params(initial_rng_states=(), initial_loop_state=None)
    net.module_.eval()
    net.optimizer_.zero_grad()


def _check_finite(net: TrainedNet) -> None:
    """Refuse a network that would predict NaN."""
    if not all(bool(p.isfinite().all()) for p in tensors_of(net.module_).values()):
        what = f"The weights of the network are not finite after epoch {len(net.history)}"
        raise NotFiniteError(what, net.lr, net.best_weights_)
