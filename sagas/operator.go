package sagas

// OperatorAborted is the reason of an upload that an operator aborted.
const OperatorAborted Code = "operator_aborted"
