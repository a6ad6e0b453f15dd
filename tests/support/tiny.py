"""Settings of a training that takes a second, with every part of the schedule in it."""

TINY = ("data.size=[32,32]", "model.options={width=4,depth=2}", "optim.epochs=4", "optim.batch_size=4")
